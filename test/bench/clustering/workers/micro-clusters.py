# Contender `micro-clusters.py <dbstream|denstream> <centres>`: river's stream clusterers on points of 16 numbers around that many centres,
# learnt one by one, as dictionaries, which is how river takes them. Their macro clusters are never asked for. One round = 200 points.

import json
import random
import resource
import sys
import time

variant, centres = sys.argv[1], int(sys.argv[2])
WIDTH, POINTS, ROUND = 16, 20_000, 200

try:
    import river
    from river import cluster
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

draw = random.Random(16)
places = [[3 * draw.gauss(0, 1) for _ in range(WIDTH)] for _ in range(centres)]
points = [{axis: value + 0.1 * draw.gauss(0, 1) for axis, value in enumerate(draw.choice(places))} for _ in range(POINTS)]

if variant == "dbstream":
    # A cluster lasts: fading as slow as ours, cleaned up every 1 000 points.
    model = cluster.DBSTREAM(clustering_threshold=1.5, fading_factor=1e-6, cleanup_interval=1000, minimum_weight=1)
    count = lambda: len(model._micro_clusters)
else:
    model = cluster.DenStream(decaying_factor=0.001, beta=0.75, mu=2, epsilon=1.5, n_samples_init=1000, stream_speed=100)
    count = lambda: len(model.p_micro_clusters)

at = 0


def learn(number):
    global at
    for _ in range(number):
        model.learn_one(points[at])
        at = at + 1 if at + 1 < POINTS else 0


learn(4000)
print("ready " + json.dumps({"python": sys.version.split()[0], "river": river.__version__, "clusters": count()}), flush=True)
for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    learn(rounds * ROUND)
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * ROUND, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
