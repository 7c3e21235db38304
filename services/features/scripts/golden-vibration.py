"""Writes services/features/test/golden/vibration-*.json: spectra, bands, velocities and envelopes of known signals, made with
scipy and numpy so that they do not depend on Andon's code. Signals are given by their recipe, which the tests follow too.
Run: python3 services/features/scripts/golden-vibration.py (numpy, scipy)"""

import json
import pathlib

import numpy as np
from scipy import signal

golden = pathlib.Path(__file__).parent.parent / "test" / "golden"


def recipe_of(rate, length, tones, noise=0.0, bias=0.0, trend=0.0, impulses=None, seed=1):
    return {"rate": rate, "length": length, "tones": tones, "noise": noise, "bias": bias, "trend": trend, "impulses": impulses, "seed": seed}


def made(recipe):
    """Tones [hz, amplitude, phase], Lehmer's noise, and rings of a resonance [hz, decay per s, repetition hz, amplitude]."""
    i = np.arange(recipe["length"])
    t = i / recipe["rate"]
    x = recipe["bias"] + recipe["trend"] * t
    for hz, amplitude, phase in recipe["tones"]:
        x = x + amplitude * np.sin(2 * np.pi * hz * t + phase)
    if recipe["impulses"]:
        hz, decay, repetition, amplitude = recipe["impulses"]
        since = t - np.floor(t * repetition) / repetition
        x = x + amplitude * np.exp(-decay * since) * np.sin(2 * np.pi * hz * since)
    state, noise = recipe["seed"], []
    for _ in i:
        state = state * 16807 % 2147483647
        noise.append(state / 2147483647 - 0.5)
    return x + recipe["noise"] * np.array(noise)


def thinned(values, count=24):
    at = np.unique(np.linspace(0, len(values) - 1, min(count, len(values))).astype(int))
    return [[int(k), float(values[k])] for k in at]


def squares(x, rate, window, detrend, segment, overlap):
    """Mean square per bin: the density times the width of a bin."""
    how = {"none": False, "mean": "constant", "linear": "linear"}[detrend]
    name = {"rectangular": "boxcar"}.get(window, window)
    f, density = signal.welch(x, rate, window=name, nperseg=segment, noverlap=round(segment * overlap), detrend=how, scaling="density")
    return f, density * rate / segment


tonal = recipe_of(8192, 4096, [[50, 1.5, 0.3], [1234.5, 0.4, 1.0], [3000, 0.05, 2.0]], noise=0.2, bias=0.7, trend=1.5)
spectra = [
    {"options": {"window": w, "detrend": d, "segment": n, "overlap": o}, "signal": tonal, "power": thinned(squares(made(tonal), 8192, w, d, n, o)[1])}
    for w, d, n, o in [
        ("hann", "mean", 4096, 0.5),
        ("hann", "mean", 1024, 0.5),
        ("hann", "linear", 512, 0.75),
        ("hamming", "mean", 512, 0.5),
        ("blackman", "none", 1024, 0.5),
        ("flattop", "linear", 1024, 0.75),
        ("rectangular", "mean", 256, 0.0),
        ("hann", "none", 16, 0.5),
    ]
]
(golden / "vibration-spectra.json").write_text(json.dumps(spectra, indent=1) + "\n")

f, p = squares(made(tonal), 8192, "hann", "mean", 4096, 0.5)
total = p[1:].sum()
edges = 20 * (4000 / 20) ** (np.arange(9) / 8)


def within(low, high):
    return p[(f >= low) & (f < high)].sum()


def velocity(low, high, derivatives, scale):
    at = (f >= low) & (f < high) & (f > 0)
    turn = 2 * np.pi * f[at]
    return float(1000 * scale * np.sqrt((p[at] * turn ** (2 * (1 - derivatives))).sum()))


share = p[1:] / total
peak = int(np.argmax(p[1:])) + 1
a, b, c = np.log(p[peak - 1 : peak + 2])
figures = {
    "signal": tonal,
    "bandsHz": [[0, 100], [1000, 1500], [2000, 3000], [3000, 4097]],
    "logBands": {"count": 8, "lowHz": 20, "highHz": 4000},
    "bandRms": [float(np.sqrt(within(*each))) for each in [[0, 100], [1000, 1500], [2000, 3000], [3000, 4097]]],
    "bandLnShare": [float(np.log(within(*each) / total)) for each in [[0, 100], [1000, 1500], [2000, 3000], [3000, 4097]]],
    "logBandRms": [float(np.sqrt(within(*each))) for each in zip(edges[:-1], edges[1:])],
    "logBandLnShare": [float(np.log(within(*each) / total)) for each in zip(edges[:-1], edges[1:])],
    "centroidHz": float((f * p)[1:].sum() / total),
    "spectralEntropy": float(-(share * np.log(share)).sum() / np.log(len(share))),
    "dominantHz": float((peak + (a - c) / (2 * (a - 2 * b + c))) * f[1]),
    "velocityRmsMmS": {
        "g": velocity(10, 1000, 2, 9.80665),
        "m/s2": velocity(10, 1000, 2, 1),
        "mm/s": velocity(10, 1000, 1, 1e-3),
        "um": velocity(10, 1000, 0, 1e-6),
    },
}
(golden / "vibration-figures.json").write_text(json.dumps(figures, indent=1) + "\n")

orders = {"bpfoOrder": 3.5848, "bpfiOrder": 5.4152, "bsfOrder": 2.35675, "ftfOrder": 0.3983}


def power_of_two(n):
    return 1 << int(np.ceil(np.log2(n)))


def analytic(x, low, high):
    """The analytic signal in [low, high) as shares of the sample rate, at every element of the row filled up to a power of two."""
    length = power_of_two(len(x))
    x = np.concatenate([x - x.mean(), np.zeros(length - len(x))])
    bins = np.fft.rfft(x)
    k = np.arange(len(bins))
    low_bin, high_bin = max(1, np.ceil(low * length - 1e-9)), min(length // 2, np.ceil(high * length - 1e-9))
    bins[(k < low_bin) | (k >= high_bin)] = 0
    return signal.hilbert(np.fft.irfft(bins, length)), int(high_bin - low_bin)


def thinned_squares(x, low, high):
    """Squared envelope as often as its bandwidth needs, and how many elements the ends of a row take."""
    z, width = analytic(x, low, high)
    samples = int(len(z) * 2 ** np.ceil(np.log2(2 * (high - low)) - 1e-9))
    step = len(z) // samples
    count = (len(x) - 1) // step + 1
    return np.abs(z[::step][:count]) ** 2, int(np.ceil(2 * samples / width)), step


def kurtogram(rows, rate, least):
    best = None
    for bands in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64]:
        for i in range(bands):
            low, high = i / (2 * bands), (i + 1) / (2 * bands)
            if high - low < least / rate * (1 - 1e-9):
                continue
            parts = [thinned_squares(x, low, high) for x in rows]
            s = np.concatenate([squares[edge:-edge] for squares, edge, _ in parts])
            kurtosis = (s**2).mean() / s.mean() ** 2 - 2
            if best is None or kurtosis > best[0]:
                best = (kurtosis, low, high)
    return best[1], best[2]


def envelope_of(rows, rate, shaft, band):
    low, high = (band[0] / rate, min(0.5, band[1] / rate)) if band else kurtogram(rows, rate, 3 * orders["bpfiOrder"] * shaft)
    parts = [thinned_squares(x, low, high) for x in rows]
    inner = np.concatenate([np.sqrt(squares[edge:-edge]) for squares, edge, _ in parts])
    y = inner - inner.mean()
    step = parts[0][2]
    segment = 1 << int(np.log2(len(parts[0][0])))
    power = np.zeros(segment // 2 + 1)
    segments = 0
    for s, _, _ in parts:
        starts = list(range(0, len(s) - segment + 1, segment // 2))
        if starts[-1] + segment < len(s):
            starts.append(len(s) - segment)
        for start in starts:
            power += squares(s[start : start + segment], rate / step, "hann", "mean", segment, 0.5)[1]
            segments += 1
    amplitude = np.sqrt(power / segments)
    bin_hz = rate / step / segment
    last = int(min((high - low) * rate, 3 * orders["bpfiOrder"] * 1.02 * shaft) / bin_hz)
    ranked = np.sort(amplitude[3 : last + 1])
    median = ranked[(len(ranked) - 1) // 2]

    def ratio(order):
        hz = order * shaft
        steps = int(np.ceil(2 * 3 * 0.02 * hz / bin_hz))
        around = hz * (1 + 0.02 * np.arange(-steps, steps + 1) / max(1, steps))
        lines = np.floor(np.outer(around, [1, 2, 3]) / bin_hz + 0.5).astype(int)
        return float(amplitude[lines].mean(axis=1).max() / median)

    return {
        "envelopeRms": float(np.sqrt((y**2).mean())),
        "envelopeKurtosis": float((y**4).mean() / (y**2).mean() ** 2),
        "envelopeLowHz": low * rate,
        "envelopeHighHz": high * rate,
        "envelopeBpfo": ratio(orders["bpfoOrder"]),
        "envelopeBpfi": ratio(orders["bpfiOrder"]),
        "envelopeBsf": ratio(2 * orders["bsfOrder"]),
        "envelopeFtf": ratio(orders["ftfOrder"]),
    }


envelopes = []
for length, band, rows in [(4096, [2000, 5000], 1), (4096, None, 1), (5000, [2500, 3500], 2), (4096, None, 3)]:
    recipe = recipe_of(12000, length * rows, [[29.95, 0.5, 0]], noise=0.4, bias=0.1, impulses=[3300, 900, 107.4, 1.0], seed=7)
    x = made(recipe)
    expected = envelope_of([x[i * length : (i + 1) * length] for i in range(rows)], 12000, 29.95, band)
    envelopes.append({"signal": recipe, "width": length, "envelopeBandHz": band, "shaftHz": 29.95, "bearing": orders, "expected": expected})
(golden / "vibration-envelopes.json").write_text(json.dumps(envelopes, indent=1) + "\n")
