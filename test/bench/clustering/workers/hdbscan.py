# Contender `hdbscan.py <points file> <width> <min cluster size> <min samples>`: scikit-learn's HDBSCAN, one thread, with the algorithm
# that is fastest here. One round = one clustering.

import json
import os
import resource
import sys
import time

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

try:
    import numpy as np
    import sklearn
    from sklearn.cluster import HDBSCAN
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

width, size, samples = (int(arg) for arg in sys.argv[2:5])
points = np.fromfile(sys.argv[1], dtype="<f8").reshape(-1, width)


def cluster(algorithm):
    return HDBSCAN(min_cluster_size=size, min_samples=samples, algorithm=algorithm, n_jobs=1, copy=True).fit(points)


def cost(algorithm):
    best = float("inf")
    for _ in range(2):
        started = time.process_time()
        cluster(algorithm)
        best = min(best, time.process_time() - started)
    return best


# The whole matrix of distances is in the running where it fits a few hundred megabytes.
algorithm = min(["kd_tree", "ball_tree"] + (["brute"] if len(points) <= 5000 else []), key=cost)
labels = cluster(algorithm).labels_.tolist()
about = {"python": sys.version.split()[0], "scikit-learn": sklearn.__version__, "algorithm": algorithm, "labels": labels}
print("ready " + json.dumps(about), flush=True)
for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(rounds):
        cluster(algorithm)
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * len(points), "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
