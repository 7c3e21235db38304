# Contender `statistics.py <plain|numpy|river> <waves file> <series> <waves> <rows>`: mean, std, rms, min, max, kurtosis and crest of 4 000 series over
# their last 256 values, every 64 values. One round = 64 values of every series. `plain` takes values one by one, as a handler per record
# does; `numpy` takes them as an array and computes all windows at once; `river` keeps rolling statistics, which have no kurtosis.

import json
import math
import resource
import sys
import time
from collections import deque

WINDOW, HOP, CHUNKS = 256, 64, 32
variant, waves_file, series_text, waves_text, rows_text = sys.argv[1:6]
SERIES, WAVES, ROWS = int(series_text), int(waves_text), int(rows_text)

try:
    import numpy as np

    if variant == "river":
        import river
        from river import stats, utils
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

# The values of field.ts: row r of series s. They come again after CHUNKS times 64 rows.
waves = np.fromfile(waves_file, dtype="<f4").reshape(WAVES, ROWS)
row = np.arange(CHUNKS * HOP)
values = waves[(np.arange(SERIES)[:, None] * 7 + row[None, :] // ROWS) % WAVES, row[None, :] % ROWS]
chunks = [np.ascontiguousarray(values[:, i * HOP : (i + 1) * HOP]) for i in range(CHUNKS)]
at = 0


def plain():
    """A ring and a counter per series; what is asked for is computed when it is due."""
    rings = [deque(maxlen=WINDOW) for _ in range(SERIES)]
    counts = [0] * SERIES
    results = [None] * SERIES
    # Records: series and value, one value of each series after the other.
    records = [list(zip([s for _ in range(HOP) for s in range(SERIES)], chunk.T.ravel().tolist())) for chunk in chunks[:8]]

    def step(chunk):
        for series, value in records[chunk % 8]:
            ring = rings[series]
            ring.append(value)
            count = counts[series] + 1
            counts[series] = count
            if count % HOP or count < WINDOW:
                continue
            mean = sum(ring) / WINDOW
            squares = [(x - mean) ** 2 for x in ring]
            variance = sum(squares) / WINDOW
            rms = math.sqrt(variance)
            low, high = min(ring), max(ring)
            kurtosis = sum([s * s for s in squares]) / WINDOW / variance**2
            results[series] = (mean, rms, rms, low, high, kurtosis, max(high - mean, mean - low) / rms)

    return step, lambda series: results[series]


def batched():
    """One ring for all series; windows are taken in tiles that stay in the cache, in double precision, without temporaries."""
    ring = np.zeros((SERIES, WINDOW), dtype=np.float32)
    results = np.empty((SERIES, 7))

    def compute(tile):
        centred = np.empty((tile, WINDOW))
        squares = np.empty((tile, WINDOW))
        for start in range(0, SERIES, tile):
            end = min(start + tile, SERIES)
            x, y, z = ring[start:end], centred[: end - start], squares[: end - start]
            mean = x.mean(axis=1, dtype=np.float64)
            low, high = x.min(axis=1), x.max(axis=1)
            np.subtract(x, mean[:, None], out=y)
            np.multiply(y, y, out=z)
            variance = z.mean(axis=1)
            rms = np.sqrt(variance)
            out = results[start:end]
            out[:, 0] = mean
            out[:, 1] = rms
            out[:, 2] = rms
            out[:, 3] = low
            out[:, 4] = high
            out[:, 5] = np.einsum("ij,ij->i", z, z) / WINDOW / variance**2
            out[:, 6] = np.maximum(high - mean, mean - low) / rms

    def timed(tile):
        best = math.inf
        for _ in range(3):
            started = time.perf_counter()
            compute(tile)
            best = min(best, time.perf_counter() - started)
        return best

    for chunk in range(WINDOW // HOP):
        ring[:, chunk * HOP : (chunk + 1) * HOP] = chunks[chunk]
    about["tile"] = tile = min((16, 32, 64, 128, 256, SERIES), key=timed)

    def step(chunk):
        place = chunk % (WINDOW // HOP) * HOP
        ring[:, place : place + HOP] = chunks[chunk % CHUNKS]  # the order of the values in a window does not matter
        if chunk >= WINDOW // HOP - 1:
            compute(tile)

    return step, lambda series: results[series].tolist()


def rolling():
    """Four rolling statistics per series, asked every 64 values; rms and crest follow from them."""
    kept = [
        (
            utils.Rolling(stats.Mean, window_size=WINDOW),
            utils.Rolling(stats.Var, window_size=WINDOW, ddof=0),
            stats.RollingMin(WINDOW),
            stats.RollingMax(WINDOW),
        )
        for _ in range(SERIES)
    ]
    counts = [0] * SERIES
    results = [None] * SERIES
    records = [list(zip([s for _ in range(HOP) for s in range(SERIES)], chunk.T.ravel().tolist())) for chunk in chunks[:8]]

    def step(chunk):
        for series, value in records[chunk % 8]:
            means, variances, lows, highs = kept[series]
            means.update(value)
            variances.update(value)
            lows.update(value)
            highs.update(value)
            count = counts[series] + 1
            counts[series] = count
            if count % HOP or count < WINDOW:
                continue
            mean, low, high = means.get(), lows.get(), highs.get()
            rms = math.sqrt(variances.get())
            results[series] = (mean, rms, rms, low, high, None, max(high - mean, mean - low) / rms)

    return step, lambda series: results[series]


about = {"python": sys.version.split()[0], "numpy": np.__version__}
if variant == "river":
    about["river"] = river.__version__
step, result = {"plain": plain, "numpy": batched, "river": rolling}[variant]()
for at in range(WINDOW // HOP):
    step(at)
at += 1
about["check"] = [[series, result(series)] for series in (0, 1, SERIES // 2, SERIES - 1)]
print("ready " + json.dumps(about), flush=True)
for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(rounds):
        step(at)
        at += 1
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * SERIES * HOP, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
