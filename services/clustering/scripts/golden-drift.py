"""Golden figures of drift detectors: change points of streams by river, two-sample statistics by scipy and numpy.

    python services/clustering/scripts/golden-drift.py

writes services/clustering/test/golden/drift.json. Made with Python 3.11, river 0.26.1, scipy 1.17.1 and numpy 2.4.6:

    python -m venv golden-venv && golden-venv/bin/pip install river==0.26.1 scipy==1.17.1 numpy==2.4.6

Streams are recipes that the tests follow too (test/drift/streams.ts), from Lehmer's generator: equal numbers in every language.
"""

import json
from pathlib import Path

import numpy as np
import scipy.optimize
import scipy.spatial.distance
import scipy.stats
from river import drift
from river._river_rust.drift import AdaptiveWindowing

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


def stream(recipe):
    """Pieces of different mean and spread, one after the other; `slope` is added per value from the start of the piece."""
    noise = gaussian(recipe["seed"], sum(piece["count"] for piece in recipe["pieces"]))
    out, at = [], 0
    for piece in recipe["pieces"]:
        part = noise[at : at + piece["count"]]
        out.append(part * piece["scale"] + piece["mean"] + piece["slope"] * np.arange(piece["count"]))
        at += piece["count"]
    return np.concatenate(out)


def piece(count, mean=0.0, scale=1.0, slope=0.0):
    return {"count": count, "mean": mean, "scale": scale, "slope": slope}


STREAMS = {
    "still": {"seed": 11, "pieces": [piece(4000)]},
    "steps": {"seed": 12, "pieces": [piece(1500), piece(900, 1.0), piece(700, -2.0, 0.5), piece(1200, -2.0, 2.0), piece(800, 0.3)]},
    "far": {"seed": 13, "pieces": [piece(1000, 1e6, 3.0), piece(1000, 1e6 + 6, 3.0)]},
    "ramp": {"seed": 14, "pieces": [piece(1000), piece(3000, 0.0, 1.0, 0.002)]},
    "small": {"seed": 15, "pieces": [piece(2500, 0.0, 1e-3), piece(2500, 4e-4, 1e-3)]},
    "constant": {"seed": 16, "pieces": [piece(400, 5.0, 0.0), piece(400, 5.5, 0.0)]},
}

ADWIN = [
    {},
    {"delta": 0.05, "clock": 1},
    {"delta": 1e-5, "clock": 64, "max_buckets": 3, "min_window_length": 20, "grace_period": 200},
    {"delta": 0.3, "clock": 8, "max_buckets": 12},
]
PAGE_HINKLEY = [{}, {"threshold": 15.0, "delta": 0.1}, {"threshold": 8.0, "delta": 0.2, "alpha": 0.99, "mode": "up"}, {"threshold": 20.0, "min_instances": 300, "mode": "down"}]
# Twice the stat size: what is drawn is the whole rest, so that the generator of random numbers does not matter.
KSWIN = [{"window_size": 60, "stat_size": 30}, {"alpha": 1e-4, "window_size": 100, "stat_size": 50}, {"alpha": 0.01, "window_size": 14, "stat_size": 7}]


def changes(detector, values):
    found = []
    for i, value in enumerate(values.tolist()):
        detector.update(value)
        if detector.drift_detected:
            found.append(i)
    return found


def adwin_cases():
    for name, recipe in STREAMS.items():
        values = stream(recipe)
        for options in ADWIN:
            detector = drift.ADWIN(**options)
            anew = changes(detector, values)
            defaults = {"delta": 0.002, "clock": 32, "max_buckets": 5, "min_window_length": 5, "grace_period": 10} | options
            window = AdaptiveWindowing(**defaults)
            shrink = [i for i, value in enumerate(values.tolist()) if window.update(value)]
            yield {
                "stream": name,
                "options": defaults,
                "anew": anew,
                "shrink": shrink,
                "width": window.get_width(),
                "mean": window.get_total() / window.get_width(),
            }


def streaming_cases(kind, settings):
    for name, recipe in STREAMS.items():
        for options in settings:
            yield {"stream": name, "options": options, "changes": changes(kind(**options), stream(recipe))}


def cusum_cases():
    for name, recipe in STREAMS.items():
        values = stream(recipe)
        learn, slack, threshold = 200, 0.5, 5.0
        mean, std = values[:learn].mean(), values[:learn].std(ddof=1)
        if std == 0:
            continue
        found, high, low = [], 0.0, 0.0
        for i, value in enumerate(values[learn:1600], learn):
            z = (value - mean) / std
            high, low = max(0.0, high + z - slack), max(0.0, low - z - slack)
            if high > threshold or low > threshold:
                found.append([i, 1 if high > threshold else -1])
                high = low = 0.0
        yield {"stream": name, "changes": found}


def samples(a, b):
    x, y = stream(a), stream(b)
    return tuple(np.round(v, 1) if recipe.get("rounded") else v for v, recipe in ((x, a), (y, b)))


PAIRS = [
    ({"seed": 21, "pieces": [piece(200)]}, {"seed": 22, "pieces": [piece(150)]}),
    ({"seed": 23, "pieces": [piece(200)]}, {"seed": 24, "pieces": [piece(80, 0.7)]}),
    ({"seed": 25, "pieces": [piece(500, 40.0, 3.0)]}, {"seed": 26, "pieces": [piece(100, 40.0, 6.0)]}),
    ({"seed": 27, "pieces": [piece(30)]}, {"seed": 28, "pieces": [piece(30, 1.0)]}),
    ({"seed": 29, "rounded": True, "pieces": [piece(120)]}, {"seed": 30, "rounded": True, "pieces": [piece(90, 0.3)]}),
    ({"seed": 31, "pieces": [piece(3000)]}, {"seed": 32, "pieces": [piece(2000, 0.05)]}),
    ({"seed": 33, "pieces": [piece(50)]}, {"seed": 34, "pieces": [piece(60, 40.0)]}),
]


def two_sample_cases():
    for a, b in PAIRS:
        x, y = samples(a, b)
        exact = len(x) * len(y) <= 1_000_000
        ks = scipy.stats.ks_2samp(x, y, method="exact" if exact else "asymp")
        cvm = scipy.stats.cramervonmises_2samp(x, y, method="asymptotic")
        edges = np.quantile(x, np.arange(1, 10) / 10)
        edges = np.unique(edges)
        p, q = (np.bincount(np.searchsorted(edges, values, side="right"), minlength=len(edges) + 1) for values in (x, y))
        ps, qs = ((counts + 0.5) / (counts.sum() + len(counts) / 2) for counts in (p, q))
        yield {
            "a": a,
            "b": b,
            "ks": float(ks.statistic),
            "ksP": float(ks.pvalue),
            "ksIsExact": exact,
            "cvm": float(cvm.statistic),
            "cvmP": float(cvm.pvalue),
            "wasserstein": float(scipy.stats.wasserstein_distance(x, y)),
            "psi": float(np.sum((qs - ps) * np.log(qs / ps))),
            "jensenShannon": float(scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2),
        }


def matrix(recipe):
    """Columns one after the other; `mix` makes the second column follow the first."""
    x = gaussian(recipe["seed"], recipe["rows"] * recipe["width"]).reshape(recipe["width"], recipe["rows"]).T.copy()
    x[:, 1] = recipe["mix"] * x[:, 0] + np.sqrt(1 - recipe["mix"] ** 2) * x[:, 1]
    return x + recipe["mean"]


def points(seed, rows, mean=0.0, mix=0.0, width=3):
    return {"seed": seed, "rows": rows, "width": width, "mean": mean, "mix": mix}


VECTORS = [
    (points(41, 120), points(42, 90)),
    (points(43, 100), points(44, 100, 0.5)),
    (points(45, 150), points(46, 120, 0.0, 0.9)),
]


def auc(scores, labels):
    positives, negatives = scores[labels == 1], scores[labels == 0]
    return scipy.stats.mannwhitneyu(positives, negatives).statistic / (len(positives) * len(negatives))


def logistic_scores(train, labels, test, ridge):
    mean, std = train.mean(axis=0), train.std(axis=0)
    z = np.column_stack([np.ones(len(train)), (train - mean) / std])
    sign = 2 * labels - 1

    def loss(w):
        margin = sign * (z @ w)
        grad = -(z * (sign / (1 + np.exp(margin)))[:, None]).sum(axis=0)
        penalty = np.r_[0, w[1:]] * ridge
        return np.logaddexp(0, -margin).sum() + 0.5 * ridge * (w[1:] @ w[1:]), grad + penalty

    found = scipy.optimize.minimize(loss, np.zeros(z.shape[1]), jac=True, method="L-BFGS-B", options={"ftol": 1e-15, "gtol": 1e-10, "maxiter": 1000})
    return np.column_stack([np.ones(len(test)), (test - mean) / std]) @ found.x


def vector_cases():
    for a, b in VECTORS:
        x, y = matrix(a), matrix(b)
        both = np.vstack([x, y])
        apart = scipy.spatial.distance
        median = float(np.median(apart.pdist(both)))
        kernel = lambda u, v: np.exp(-apart.cdist(u, v, "sqeuclidean") / (2 * median**2))  # noqa: E731
        n, m = len(x), len(y)
        xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
        quadratic = (xx.sum() - n) / (n * (n - 1)) + (yy.sum() - m) / (m * (m - 1)) - 2 * xy.mean()
        pairs = min(n, m) // 2
        one, two = np.arange(pairs) * 2, np.arange(pairs) * 2 + 1
        h = xx[one, two] + yy[one, two] - xy[one, two] - xy[two, one]
        energy = 2 * apart.cdist(x, y).mean() - apart.cdist(x, x).mean() - apart.cdist(y, y).mean()
        folds, ridge, areas = 5, 1.0, []
        labels = np.r_[np.zeros(n), np.ones(m)]
        fold = np.r_[np.arange(n) * folds // n, np.arange(m) * folds // m]
        for k in range(folds):
            scores = logistic_scores(both[fold != k], labels[fold != k], both[fold == k], ridge)
            areas.append(auc(scores, labels[fold == k]))
        yield {
            "a": a,
            "b": b,
            "median": median,
            "mmdQuadratic": float(quadratic),
            "mmdLinear": float(h.mean()),
            "mmdLinearStd": float(h.std(ddof=1) / np.sqrt(pairs)),
            "energy": float(energy),
            "auc": float(np.mean(areas)),
        }


def adjusted_cases():
    for p in ([0.01, 0.04, 0.03, 0.5], [0.2], [0.001, 0.001, 0.9, 0.02, 0.0199, 1.0], [0.7, 0.8]):
        yield {"p": p, "adjusted": scipy.stats.false_discovery_control(p).tolist()}


if __name__ == "__main__":
    golden.mkdir(parents=True, exist_ok=True)
    figures = {
        "streams": STREAMS,
        "adwin": list(adwin_cases()),
        "pageHinkley": list(streaming_cases(drift.PageHinkley, PAGE_HINKLEY)),
        "kswin": list(streaming_cases(drift.KSWIN, KSWIN)),
        "cusum": list(cusum_cases()),
        "twoSample": list(two_sample_cases()),
        "vectors": list(vector_cases()),
        "adjusted": list(adjusted_cases()),
    }
    # One case per line.
    parts = []
    for name, cases in figures.items():
        lines = [f"{json.dumps(key)}: {json.dumps(cases[key])}" for key in cases] if isinstance(cases, dict) else map(json.dumps, cases)
        left, right = "{}" if isinstance(cases, dict) else "[]"
        parts.append(f"{json.dumps(name)}: {left}\n" + ",\n".join(lines) + f"\n{right}")
    (golden / "drift.json").write_text("{\n" + ",\n".join(parts) + "\n}\n")
