# Contender `spectra.py <parameters as JSON>`: 16 bands of the Hann-weighted power spectrum of waveforms of 1 024 elements, and rms, kurtosis and
# defect lines of the envelope of a band, with numpy over many waveforms at once. One round = one waveform of every asset.

import json
import math
import resource
import sys
import time

try:
    import numpy as np
except ImportError as error:
    print(f"missing {error}", flush=True)
    sys.exit(0)

given = json.loads(sys.argv[1])
N, RATE, ASSETS = given["elements"], given["sampleRateHz"], given["assets"]
table = np.fromfile(given["file"], dtype="<f4").reshape(-1, N)
WAVEFORMS = len(table)
SLIP, HARMONICS, REACH = 0.02, 3, 2
bands = given["logBands"]
edges_hz = bands["lowHz"] * (bands["highHz"] / bands["lowHz"]) ** (np.arange(bands["count"] + 1) / bands["count"])
edges = np.ceil(edges_hz / (RATE / N)).astype(int)
edges[0], edges[-1] = math.ceil(bands["lowHz"] / (RATE / N)), math.ceil(bands["highHz"] / (RATE / N))
hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N) / N)
scale = 2 / (N * (hann**2).sum())
low, high = (hz / RATE for hz in given["envelopeBandHz"])
first, last = math.ceil(low * N), math.ceil(high * N)
M = int(N * 2.0 ** math.ceil(math.log2(2 * (high - low))))
edge = math.ceil(2 * M / (last - first))
envelope_hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(M) / M)
envelope_scale = 2 / (M * (envelope_hann**2).sum())
shaft_hz, orders = given["speedRpm"] / 60, given["orders"]
bin_hz = RATE * M / N / M
width_hz = given["envelopeBandHz"][1] - given["envelopeBandHz"][0]
defects = [orders["bpfoOrder"], orders["bpfiOrder"], 2 * orders["bsfOrder"], orders["ftfOrder"]]
floor_to = math.floor(min(width_hz, HARMONICS * max(defects) * (1 + SLIP) * shaft_hz) / bin_hz)
lines = []
for order in defects:
    hz = order * shaft_hz
    within = min(HARMONICS, math.floor(width_hz / (hz * (1 + SLIP))))
    steps = math.ceil(2 * within * SLIP * hz / bin_hz)
    at = hz * (1 + SLIP * np.arange(-steps, steps + 1) / max(1, steps)) / bin_hz
    bins = np.floor(np.arange(1, within + 1)[:, None] * at[None, :] + 0.5).astype(int)
    # Neighbouring frequencies often fall on the same bins.
    lines.append((within, np.unique(bins, axis=1)))
highest = max(floor_to, *(int(bins.max()) for _, bins in lines))
results = np.empty((ASSETS, bands["count"] + 6))


def compute(x, out):
    y = x - x.mean(axis=1, dtype=np.float64, keepdims=True)
    power = np.abs(np.fft.rfft(y * hann, axis=1)[:, edges[0] : edges[-1]]) ** 2
    out[:, : bands["count"]] = np.sqrt(np.add.reduceat(power, edges[:-1] - edges[0], axis=1) * scale)
    band = np.zeros((len(x), M), dtype=np.complex128)
    band[:, : last - first] = np.fft.rfft(y, axis=1)[:, first:last]
    signal = np.fft.ifft(band, axis=1)
    squares = (signal.real**2 + signal.imag**2) * (2 * M / N) ** 2
    modulus = np.sqrt(squares[:, edge : M - edge])
    z = modulus - modulus.mean(axis=1, keepdims=True)
    z *= z
    second = z.mean(axis=1)
    out[:, bands["count"]] = np.sqrt(second)
    out[:, bands["count"] + 1] = np.einsum("ij,ij->i", z, z) / z.shape[1] / second**2
    squares -= squares.mean(axis=1, keepdims=True)
    squares *= envelope_hann
    amplitude = np.abs(np.fft.rfft(squares, axis=1)[:, : highest + 1])
    quiet = amplitude[:, REACH + 1 : floor_to + 1]
    middle = (quiet.shape[1] - 1) // 2
    median = np.partition(quiet, middle, axis=1)[:, middle]
    for i, (within, bins) in enumerate(lines):
        total = amplitude[:, bins[0]]
        for harmonic in bins[1:]:
            total = total + amplitude[:, harmonic]
        out[:, bands["count"] + 2 + i] = total.max(axis=1) / (within * median)


chosen = [np.ascontiguousarray(table[(np.arange(ASSETS) * 7 + n) % WAVEFORMS]) for n in range(32)]


def step(n, tile):
    x = chosen[n % 32]
    for start in range(0, ASSETS, tile):
        compute(x[start : start + tile], results[start : start + tile])


def timed(tile):
    best = math.inf
    for _ in range(3):
        started = time.perf_counter()
        step(0, tile)
        best = min(best, time.perf_counter() - started)
    return best


tile = min((8, 16, 32, 64, 128, ASSETS), key=timed)
step(0, tile)
check = [[asset, results[asset].tolist()] for asset in (0, 1, ASSETS - 1)]
print("ready " + json.dumps({"python": sys.version.split()[0], "numpy": np.__version__, "tile": tile, "check": check}), flush=True)
at = 1
for line in sys.stdin:
    rounds = int(line)
    before, started = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
    for _ in range(rounds):
        step(at, tile)
        at += 1
    wall_ms = (time.perf_counter() - started) * 1000
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu_us = (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e6
    print(json.dumps({"work": rounds * ASSETS * N, "wallMs": wall_ms, "cpuUs": cpu_us}), flush=True)
