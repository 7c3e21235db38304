# Contender `consume.py <broker> <schema file> <topic> <records> <partitions> <start of time>`: the work of consume.ts through confluent-kafka
# and fastavro. One round = the topic once, from the start, with partitions assigned by hand.

import io
import json
import resource
import sys
import time
from array import array

try:
    import confluent_kafka
    import fastavro
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

broker, schema_file, topic, records_text, partitions_text, start_text = sys.argv[1:7]
total, partitions, start_us = int(records_text), int(partitions_text), int(start_text)
with open(schema_file) as file:
    schema = fastavro.parse_schema(json.load(file))
consumer = confluent_kafka.Consumer(
    {"bootstrap.servers": broker, "group.id": "bench-python", "enable.auto.commit": False, "fetch.wait.max.ms": 100, "fetch.message.max.bytes": 1048576}
)
check = {"blocks": 0, "samples": 0, "sampleSum": 0.0, "seqSum": 0, "timeSum": 0}


def read_all(is_checking):
    consumer.assign([confluent_kafka.TopicPartition(topic, partition, 0) for partition in range(partitions)])
    read, count = fastavro.schemaless_reader, 0
    while count < total:
        messages = consumer.consume(1000, 10)
        if not messages:
            raise RuntimeError(f"{count} of {total} records within 10 s")
        seq_from, samples, times_us = array("d"), array("f"), array("q")
        for message in messages:
            if message.error():
                raise RuntimeError(str(message.error()))
            body = io.BytesIO(message.value())
            body.seek(5)
            block = read(body, schema, None)["block"]
            seq_from.append(block["seqFrom"])
            samples.frombytes(block["samples"])
            times_us.frombytes(block["timesUs"])
        count += len(messages)
        if is_checking:
            check["blocks"] += len(messages)
            check["samples"] += len(samples)
            check["sampleSum"] += sum(samples)
            check["seqSum"] += int(sum(seq_from))
            check["timeSum"] += sum(times_us) - start_us * len(times_us)
    consumer.unassign()
    return count


read_all(True)
per_record = check["samples"] // check["blocks"]
about = {"confluent_kafka": confluent_kafka.version()[0], "fastavro": fastavro.__version__, "python": sys.version.split()[0], "check": check}
print("ready " + json.dumps(about), flush=True)
for line in sys.stdin:
    rounds, work = int(line), 0
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(rounds):
        work += read_all(False) * per_record
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": work, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
consumer.close()
