# Contender `drift.py <adwin|page-hinkley|kswin>`: river's detectors on the stream of drift.ts. One round = 256 values.

import json
import resource
import sys
import time

COUNT, ROUND, CHECKED = 40960, 256, 12800
kind = sys.argv[1]

try:
    import river
    from river import drift
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)


def new():
    if kind == "adwin":
        return drift.ADWIN()
    if kind == "page-hinkley":
        return drift.PageHinkley()
    return drift.KSWIN(window_size=60, stat_size=30, alpha=1e-3, seed=1)


seed, values = 77, []
for i in range(COUNT):
    total = 0.0
    for _ in range(12):
        seed = seed * 16807 % 2147483647
        total += seed / 2147483647 - 0.5
    values.append(total + i // 5000 % 2)

detector, changes = new(), []
for i, value in enumerate(values[:CHECKED]):
    detector.update(value)
    if detector.drift_detected:
        changes.append(i)

detector = new()
at = found = 0
about = {"python": sys.version.split()[0], "river": river.__version__, "changes": changes}
print("ready " + json.dumps(about), flush=True)


def run(rounds):
    global at, found
    update = detector.update
    for _ in range(rounds):
        for value in values[at : at + ROUND]:
            update(value)
            if detector.drift_detected:
                found += 1
        at = (at + ROUND) % COUNT


for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    run(rounds)
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * ROUND, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
