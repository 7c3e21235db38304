# Contender `quix.py <broker> <from> <to> <records> <state folder>`: quixstreams keeps mean, minimum and maximum of hopping windows of 256 values that
# end every 64, per key, with its state in RocksDB, and writes each final window to a topic. A record is one value. One round = that many records.

import json
import resource
import sys
import time
import warnings

warnings.simplefilter("ignore")
try:
    import quixstreams
    from quixstreams import Application
    from quixstreams.dataframe.windows import Max, Mean, Min
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

broker, source, target, per_round, folder = sys.argv[1:6]
app = Application(
    broker_address=broker,
    consumer_group="bench-quix",
    auto_offset_reset="earliest",
    state_dir=folder,
    loglevel="ERROR",
    use_changelog_topics=False,
)
left, work = 0, 0
before, started = None, 0.0


def gate(value):
    """Lets values through until the round is done, then tells what it cost and waits for the next one."""
    global left, work, before, started
    if left == 0:
        if work > 0:
            wall_ms = (time.perf_counter() - started) * 1000
            after = resource.getrusage(resource.RUSAGE_SELF)
            cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
            print(json.dumps({"work": work, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
        line = sys.stdin.readline()
        if line == "":
            app.stop()
            return value
        left = work = int(line) * int(per_round)
        before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    left -= 1
    return value


frame = app.dataframe(app.topic(source, key_deserializer="str", value_deserializer="double"))
frame = frame.apply(gate).hopping_window(256, 64).agg(mean=Mean(), min=Min(), max=Max()).final()
frame = frame.to_topic(app.topic(target, key_serializer="str", value_serializer="json"))
print("ready " + json.dumps({"python": sys.version.split()[0], "quixstreams": quixstreams.__version__}), flush=True)
app.run()
