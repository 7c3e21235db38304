"""Golden figures of moments, quantiles, slow signals, pairs, mains and sound levels, computed with numpy and scipy.

    python services/features/scripts/golden-statistics.py

writes services/features/test/golden/statistics-*.json. Made with Python 3.11, numpy 2.4.6 and scipy 1.17.1:

    python -m venv golden-venv && golden-venv/bin/pip install numpy==2.4.6 scipy==1.17.1

Signals are recipes that the tests follow too (test/functions/signals.ts), from Lehmer's generator: equal numbers in every
language. Sums of moments run in 80-bit floats here, which decides between rounding and mistakes.
"""

import json
from pathlib import Path

import numpy as np
import scipy.signal
import scipy.stats

golden = Path(__file__).resolve().parent.parent / "test" / "golden"


def uniform(seed, count):
    state, out = seed, np.empty(count)
    for i in range(count):
        state = state * 16807 % 2147483647
        out[i] = state / 2147483647 - 0.5
    return out


def gaussian(seed, count):
    """Sums of twelve: near enough to a bell, and the same everywhere."""
    parts = uniform(seed, 12 * count).reshape(count, 12)
    total = np.zeros(count)
    for k in range(12):
        total = total + parts[:, k]
    return total


def signal(recipe):
    kind, seed, count = recipe["kind"], recipe["seed"], recipe["count"]
    if kind == "uniform":
        x = uniform(seed, count)
    elif kind == "gaussian":
        x = gaussian(seed, count)
    elif kind == "knocks":
        x = gaussian(seed, count)
        x[::97] = x[::97] * 12
    elif kind == "skewed":
        u = uniform(seed, count) + 0.5
        x = u * u * u * u
    elif kind == "walk":
        x, at = np.empty(count), 0.0
        for i, u in enumerate(uniform(seed, count)):
            at = at + u
            x[i] = at
    else:
        raise ValueError(kind)
    x = x * recipe["scale"] + recipe["offset"]
    return x.astype(np.float32).astype(np.float64) if recipe["floats"] else x


def recipe(kind, seed, count, scale=1.0, offset=0.0, floats=False):
    return {"kind": kind, "seed": seed, "count": count, "scale": scale, "offset": offset, "floats": floats}


def moments(x):
    wide = x.astype(np.longdouble)
    n = len(wide)
    mean = wide.sum() / n
    y = wide - mean
    rms = np.sqrt((y * y).sum() / n)
    peak = np.abs(y).max()
    absolute = np.abs(y).sum() / n
    root = np.sqrt(np.abs(y)).sum() / n
    figures = {
        "count": n,
        "mean": mean,
        "std": rms,
        "min": wide.min(),
        "max": wide.max(),
        "range": wide.max() - wide.min(),
        "rms": rms,
        "peak": peak,
        "crest": peak / rms,
        "kurtosis": (y**4).sum() / n / rms**4,
        "skewness": (y**3).sum() / n / rms**3,
        "shape": rms / absolute,
        "impulse": peak / absolute,
        "clearance": peak / root**2,
        "lnRms": np.log(rms),
        "median": np.median(x),
    }
    for share in (0.005, 0.05, 0.25, 0.7, 0.95):
        figures[f"p{share * 100:g}".replace(".", "_")] = np.quantile(x, share)
    # The same by scipy, as far as doubles and their plain sums go.
    if recipe_is_tame(x):
        np.testing.assert_allclose(float(figures["kurtosis"]), scipy.stats.kurtosis(x, fisher=False), rtol=1e-9)
        np.testing.assert_allclose(float(figures["skewness"]), scipy.stats.skew(x), rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(float(figures["std"]), np.std(x), rtol=1e-9)
    return {name: float(value) for name, value in figures.items()}


def recipe_is_tame(x):
    return np.abs(x).max() < 1e6


def moment_cases():
    recipes = [
        recipe("gaussian", 1, 256),
        recipe("gaussian", 2, 1000, 3.0, 20.0, True),
        recipe("uniform", 3, 7),
        recipe("uniform", 4, 2, 5.0),
        recipe("knocks", 5, 4096, 0.25, 9.81, True),
        recipe("skewed", 6, 777, 100.0),
        recipe("walk", 7, 2500, 1.0, -40.0, True),
        recipe("gaussian", 8, 512, 1e-3, 1e9),
        recipe("gaussian", 9, 300, 1e-30, 0.0, True),
        recipe("gaussian", 10, 300, 1e30, 0.0, True),
    ]
    return [{"signal": each, "figures": moments(signal(each))} for each in recipes]


def held(times, values, at):
    """The newest value at or before each time; NaN before the first."""
    index = np.searchsorted(times, at, side="right") - 1
    return np.where(index >= 0, values[np.maximum(index, 0)], np.nan)


def counted(values):
    total = 0.0
    for before, now in zip(values, values[1:]):
        total += now if now < before / 2 else now - before
    return total


def times_of(seed, count, mean_us):
    steps = np.floor((uniform(seed, count) + 0.5) * 2 * mean_us).astype(np.int64)
    return 1_800_000_000_000_000 + np.cumsum(steps)


def slow_case(a, b, seed, mean_us, end_after_us):
    x, other = signal(a), signal(b)
    times = times_of(seed, len(x), mean_us)
    other_times = times_of(seed + 1, len(other), mean_us) + 3 * mean_us
    end = times[-1] + end_after_us
    seconds = (times - times[0]) / 1e6
    wide = x.astype(np.longdouble)
    differences = np.diff(wide)
    line = scipy.stats.linregress(seconds, x - x[0])
    half = len(x) // 2
    half_life_us = 5 * mean_us
    signs = np.sign(wide - wide.mean())
    spans = np.diff(np.append(times, end))
    low, high = np.quantile(x, 0.3), np.quantile(x, 0.8)
    figures = {
        "last": x[-1],
        "slope": line.slope,
        "difference": differences[-1],
        "differenceRms": np.sqrt(np.mean(differences**2)),
        "lnDifferenceRms": np.log(np.sqrt(np.mean(differences**2))),
        "largestDifference": differences[np.argmax(np.abs(differences))],
        "step": wide[-half:].sum() / half - wide[:half].sum() / half,
        "ewma": np.average(wide, weights=np.exp2((times - times[-1]) / half_life_us)),
        "zeroCrossingsHz": np.count_nonzero(np.diff(signs)) / seconds[-1],
        "timeInBandPct": 100 * spans[(x >= low) & (x < high)].sum() / spans.sum(),
    }
    pair = held(other_times, other, times)
    known = ~np.isnan(pair)
    y, z = x[known], pair[known]
    between = scipy.stats.linregress(z, y)
    residuals = y - (between.intercept + between.slope * z)
    assert abs(between.rvalue - np.corrcoef(y, z)[0, 1]) < 1e-12
    pairs = {
        "correlation": between.rvalue,
        "regressionResidual": residuals[-1],
        "regressionResidualRms": np.sqrt(np.mean(residuals**2)),
    }
    parts = np.floor(np.abs(np.cumsum(uniform(seed + 2, len(x)) + 0.5)) * 3) % 40  # begins again now and then
    rate = counted(parts) / seconds[-1]
    states = np.floor((uniform(seed + 3, len(x)) + 0.5) * 3)
    return {
        "first": a,
        "second": b,
        "timesSeed": seed,
        "meanUs": mean_us,
        "endAfterUs": end_after_us,
        "halfLifeMs": half_life_us / 1000,
        "limits": [float(low), float(high)],
        "figures": {name: float(value) for name, value in figures.items()},
        "pairs": {name: float(value) for name, value in pairs.items()},
        "counter": {"increase": counted(parts), "increasePerS": float(rate)},
        "states": {f"state{k}S": float(spans[states == k].sum() / 1e6) for k in range(3)}
        | {"stateChanges": int(np.count_nonzero(np.diff(states)))},
    }


def slow_cases():
    return [
        slow_case(recipe("walk", 11, 120), recipe("walk", 12, 90), 13, 1_000_000, 400_000),
        slow_case(recipe("gaussian", 21, 60, 0.5, 80.0, True), recipe("skewed", 22, 200, 1.0, 0.0, True), 23, 250_000, 1),
        slow_case(recipe("walk", 31, 20, 1.0, 1e6), recipe("walk", 11, 30), 33, 60_000_000, 30_000_000),
    ]


def mains_case(rate, width, rows, hz, amplitudes, noise, seed, expected_hz):
    """Least squares on sines of the true frequency: what an ideal meter would read."""
    t = np.arange(rows * width) / rate
    x = np.zeros(rows * width)
    for order, amplitude, phase in amplitudes:
        x = x + amplitude * np.sin(2 * np.pi * order * hz * t + phase)
    x = x + noise * uniform(seed, rows * width)
    orders = range(1, min(40, int(np.ceil(rate / 2 / hz)) - 1) + 1)
    fundamental = distortion = 0.0
    for row in range(rows):
        part, s = x[row * width : (row + 1) * width], t[row * width : (row + 1) * width]
        columns = [np.ones(width)]
        for order in orders:
            columns += [np.cos(2 * np.pi * order * hz * s), np.sin(2 * np.pi * order * hz * s)]
        fitted = np.linalg.lstsq(np.stack(columns, axis=1), part, rcond=None)[0][1:]
        squares = fitted[::2] ** 2 + fitted[1::2] ** 2
        fundamental += squares[0]
        distortion += squares[1:].sum()
    return {
        "rate": rate,
        "width": width,
        "rows": rows,
        "hz": hz,
        "tones": [[order * hz, amplitude, phase] for order, amplitude, phase in amplitudes],
        "noise": noise,
        "seed": seed,
        "expectedHz": expected_hz,
        "thdPct": 100 * float(np.sqrt(distortion / fundamental)),
    }


def mains_cases():
    rectifier = [(1, 10, 0.1), (5, 2.0, 1.2), (7, 1.4, -0.4), (11, 0.9, 2.2), (13, 0.7, 0.3), (17, 0.4, 1.0)]
    return [
        mains_case(10_000, 2000, 3, 49.87, [(1, 325, 0.3), (3, 9, 1.0), (5, 12, 2.0), (7, 5, 0.2)], 0.5, 41, 50),
        mains_case(12_800, 2560, 2, 60.03, rectifier, 0.0, 42, 60),
        mains_case(5_000, 700, 4, 50.4, rectifier, 0.02, 43, 50),
        mains_case(2_000, 4096, 1, 16.7, [(1, 4, 0.0), (3, 0.2, 0.0)], 0.001, 44, 16.7),
    ]


def octave_case(rate, recipe_, fraction, lowest, highest, nominal):
    x = signal(recipe_)
    length = 2 ** int(np.floor(np.log2(len(x))))
    hz, density = scipy.signal.welch(x, rate, "hann", length, detrend="constant", scaling="density")
    width = hz[1]
    # Power below a frequency, each line spread over its bin.
    edges = np.append(hz - width / 2, hz[-1] + width / 2)
    below = np.append(0, np.cumsum(density * width))
    figures = {}
    for name in nominal:
        exact = 1000 * 10 ** (0.3 * round(fraction * np.log10(name / 1000) / 0.3) / fraction)
        low, high = exact * 10 ** (-0.15 / fraction), exact * 10 ** (0.15 / fraction)
        power = np.interp(high, edges, below) - np.interp(low, edges, below)
        figures[f"octave{name:g}HzDb".replace(".", "_")] = float(10 * np.log10(power / 4e-10))
    return {
        "rate": rate,
        "signal": recipe_,
        "octaveFraction": fraction,
        "octaveRangeHz": [lowest, highest],
        "figures": figures,
    }


def octave_cases():
    octaves = [31.5, 63, 125, 250, 500, 1000, 2000, 4000, 8000]
    thirds = [100, 125, 160, 200, 250, 315, 400, 500, 630, 800, 1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000]
    return [
        octave_case(25_600, recipe("uniform", 51, 8192, 0.2), 1, 31.5, 8000, octaves),
        octave_case(16_000, recipe("walk", 52, 16_384, 0.01), 3, 100, 5000, thirds),
    ]


for name, cases in (
    ("moments", moment_cases()),
    ("slow", slow_cases()),
    ("mains", mains_cases()),
    ("octaves", octave_cases()),
):
    (golden / f"statistics-{name}.json").write_text(json.dumps(cases, indent=1) + "\n")
