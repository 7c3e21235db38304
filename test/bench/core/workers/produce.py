# Contender `produce.py <broker> <topic> <batch> <values>`: the work of produce.ts through confluent-kafka. One round = one batch, sent by
# reaching batch.num.messages, and awaited by flush(). No delivery callbacks: they would cost Python more than the sending.

import json
import resource
import sys
import time

try:
    import confluent_kafka
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

VALUES, VALUE_BYTES, KEYS = 997, 100, 256
broker, topic, batch_text, values_file = sys.argv[1:5]
batch = int(batch_text)
with open(values_file, "rb") as file:
    data = file.read()
values = [data[(i % VALUES) * VALUE_BYTES : (i % VALUES + 1) * VALUE_BYTES] for i in range(batch)]
records = [(f"asset-{1000 + i % KEYS}".encode(), values[i]) for i in range(batch)]
producer = confluent_kafka.Producer(
    {
        "bootstrap.servers": broker,
        "enable.idempotence": True,
        "acks": "all",
        "max.in.flight.requests.per.connection": 1,
        "batch.num.messages": batch,
        "linger.ms": 1000,
        "compression.type": "none",
        "partitioner": "murmur2_random",
    }
)


def send():
    produce = producer.produce
    for key, value in records:
        produce(topic, value, key)
    if producer.flush(30) != 0:
        raise RuntimeError("not acknowledged within 30 s")


send()
about = {"confluent_kafka": confluent_kafka.version()[0], "librdkafka": confluent_kafka.libversion()[0], "python": sys.version.split()[0]}
print("ready " + json.dumps(about), flush=True)
for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(rounds):
        send()
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * batch, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
