"""Golden results of clustering and its quality measures, computed with scikit-learn and hdbscan.

    python services/clustering/scripts/golden-density.py

writes services/clustering/test/density/golden/density.json. Made with Python 3.11 in

    python -m venv golden-venv && golden-venv/bin/pip install numpy==2.4.6 scipy==1.17.1 scikit-learn==1.9.1 hdbscan==0.8.44

Points are recipes that the tests follow too (test/density/points.ts), from Lehmer's generator: equal numbers in every language.
"""

import json
import warnings
from pathlib import Path

import hdbscan as contrib
import numpy as np
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import cdist
from sklearn import metrics
from sklearn.cluster import HDBSCAN, KMeans
from sklearn.mixture import GaussianMixture

warnings.filterwarnings("ignore")
golden = Path(__file__).resolve().parent.parent / "test" / "density" / "golden"


class Numbers:
    def __init__(self, seed):
        self.state = seed

    def uniform(self):
        self.state = self.state * 16807 % 2147483647
        return self.state / 2147483647 - 0.5

    def gaussian(self):
        """A sum of twelve: near enough to a bell, and the same everywhere."""
        total = 0.0
        for _ in range(12):
            total = total + self.uniform()
        return total


def points(recipe):
    """Groups in turn, so that neighbours in the list are no neighbours in space."""
    numbers, width = Numbers(recipe["seed"]), recipe["width"]
    groups = recipe["groups"]
    rows = []
    for i in range(recipe["count"]):
        group = groups[i % len(groups)]
        if group["shape"] == "blob":
            row = [c + group["spread"] * numbers.gaussian() for c in group["centre"]]
        elif group["shape"] == "box":
            row = [group["spread"] * 2 * numbers.uniform() for _ in range(width)]
        else:
            t = 2 * numbers.uniform()
            row = [group["centre"][0] + 4 * t + group["spread"] * numbers.gaussian(), group["centre"][1] + 4 * t * t + group["spread"] * numbers.gaussian()]
        rows.append(row)
    x = np.array(rows)
    return x


def blob(spread, *centre):
    return {"shape": "blob", "spread": spread, "centre": list(centre)}


def arc(spread, *centre):
    return {"shape": "arc", "spread": spread, "centre": list(centre)}


def box(spread):
    return {"shape": "box", "spread": spread}


wide = [[(7 * c * (k + 2) + 3 * k * k) % 11 - 5 for k in range(8)] for c in range(5)]
recipes = {
    "three blobs and noise": {"seed": 11, "width": 2, "count": 240, "groups": [blob(0.3, 0, 0), blob(0.6, 4, 1), blob(0.2, 1, 5), box(6)]},
    "two arcs": {"seed": 12, "width": 2, "count": 300, "groups": [arc(0.15, 0, 0), arc(0.15, 4, 2.5), arc(0.15, 0, 0)]},
    "blobs within a blob": {"seed": 13, "width": 2, "count": 360, "groups": [blob(0.25, 0, 0), blob(0.25, 1.5, 0), blob(1.5, 12, 0), blob(0.25, 0.7, 1.4)]},
    "five blobs in eight dimensions": {"seed": 14, "width": 8, "count": 500, "groups": [blob(0.3 + 0.2 * i, *c) for i, c in enumerate(wide)] + [box(7)]},
    "one blob": {"seed": 15, "width": 3, "count": 150, "groups": [blob(1, 0, 0, 0)]},
    "nothing but noise": {"seed": 16, "width": 4, "count": 120, "groups": [box(3)]},
}
settings = [
    {"minClusterSize": 10, "minSamples": 5, "selection": "eom", "epsilon": 0, "allowSingle": False},
    {"minClusterSize": 8, "minSamples": 8, "selection": "leaf", "epsilon": 0, "allowSingle": False},
    {"minClusterSize": 5, "minSamples": 4, "selection": "eom", "epsilon": 0.6, "allowSingle": False},
    {"minClusterSize": 12, "minSamples": 6, "selection": "eom", "epsilon": 0, "allowSingle": True},
    {"minClusterSize": 6, "minSamples": 1, "selection": "eom", "epsilon": 0, "allowSingle": False},
    {"minClusterSize": 4, "minSamples": 1, "selection": "leaf", "epsilon": 0, "allowSingle": False},
]
# Where several parts meet at exactly one distance, scikit-learn gives the small ones to whichever large one its sorting puts first. These
# cases are left out because that moves more than the parts themselves: a cluster falls below its least size, or ends elsewhere.
left_out = {("blobs within a blob", 1), ("three blobs and noise", 2), ("five blobs in eight dimensions", 2), ("nothing but noise", 0)}


def scikit(x, s):
    return HDBSCAN(
        min_cluster_size=s["minClusterSize"],
        min_samples=s["minSamples"],
        cluster_selection_method=s["selection"],
        cluster_selection_epsilon=float(s["epsilon"]),
        allow_single_cluster=s["allowSingle"],
        algorithm="kd_tree",
        copy=True,
    ).fit(x)


def rounded(values):
    return [float(f"{v:.10g}") for v in values]


clusterings = []
for name, recipe in recipes.items():
    x = points(recipe)
    for i, s in enumerate(settings):
        if (name, i) in left_out:
            continue
        # hdbscan counts a point's neighbours without itself: one less than scikit-learn for the same core distance.
        other = contrib.HDBSCAN(
            min_cluster_size=s["minClusterSize"],
            min_samples=max(1, s["minSamples"] - 1),
            cluster_selection_method=s["selection"],
            cluster_selection_epsilon=float(s["epsilon"]),
            allow_single_cluster=s["allowSingle"],
            algorithm="generic",
        ).fit(x)
        # scikit-learn 1.9.1 cannot take an epsilon with numpy 2.4: its search ends with a TypeError.
        found = other if s["epsilon"] else scikit(x, s)
        clusterings.append(
            {
                "points": name,
                "settings": s,
                "labels": found.labels_.tolist(),
                "membership": rounded(found.probabilities_),
                "outlierScore": rounded(other.outlier_scores_) if s["minSamples"] > 1 else [],
            }
        )

def dbcv(x, labels):
    """By the paper, with all matrices. hdbscan's own takes whichever of equal edges comes first, and differs with the order of points; a
    billionth of the distance decides here."""
    width, parts = x.shape[1], []
    for label in range(labels.max() + 1):
        own = x[labels == label]
        distance = cdist(own, own)
        with np.errstate(divide="ignore"):
            power = np.where(distance > 0, distance, np.inf) ** -float(width)
        core = (power.sum(axis=1) / (len(own) - 1)) ** (-1 / width)
        reach = np.maximum(distance, np.maximum(core[:, None], core[None, :]))
        tree = minimum_spanning_tree(reach * (1 + 1e-9 * distance / distance.max())).tocoo()
        degree = np.bincount(np.concatenate([tree.row, tree.col]), minlength=len(own))
        inner = degree > 1
        edges = reach[tree.row, tree.col]
        between = inner[tree.row] & inner[tree.col]
        parts.append((own[inner], core[inner], edges[between].max(), len(own)))
    total = 0
    for i, (own, core, sparseness, size) in enumerate(parts):
        apart = min(
            np.maximum(cdist(own, theirs), np.maximum(core[:, None], their_core[None, :])).min()
            for j, (theirs, their_core, _, _) in enumerate(parts)
            if j != i
        )
        total += size / len(x) * (apart - sparseness) / max(apart, sparseness)
    return total


judged = []
for name in ["three blobs and noise", "two arcs", "five blobs in eight dimensions"]:
    x = points(recipes[name])
    groups = len(recipes[name]["groups"])
    truth = np.arange(len(x)) % groups
    labels = scikit(x, settings[0]).labels_
    kept = labels >= 0
    judged.append(
        {
            "points": name,
            "truth": truth.tolist(),
            "labels": labels.tolist(),
            "adjustedRand": metrics.adjusted_rand_score(truth, labels),
            "homogeneity": metrics.homogeneity_score(truth, labels),
            "completeness": metrics.completeness_score(truth, labels),
            "vMeasure": metrics.v_measure_score(truth, labels),
            "silhouette": metrics.silhouette_score(x[kept], labels[kept]),
            "dbcv": dbcv(x, labels),
        }
    )

fits = []
for name in ["three blobs and noise", "five blobs in eight dimensions"]:
    x = points(recipes[name])
    k = len(recipes[name]["groups"]) - 1
    first = x[:k].copy()
    means = KMeans(n_clusters=k, init=first, n_init=1, tol=0, max_iter=500, algorithm="lloyd").fit(x)
    fit = {"points": name, "k": k, "inertia": means.inertia_, "labels": means.labels_.tolist(), "mixtures": []}
    for kind in ["diag", "full"]:
        spread = [np.cov(x[means.labels_ == c].T, bias=True) + 1e-6 * np.eye(x.shape[1]) for c in range(k)]
        mixture = GaussianMixture(
            k,
            covariance_type=kind,
            weights_init=np.bincount(means.labels_) / len(x),
            means_init=means.cluster_centers_,
            precisions_init=np.array([np.linalg.inv(s) if kind == "full" else 1 / np.diag(s) for s in spread]),
            tol=1e-12,
            max_iter=5000,
            reg_covar=1e-6,
        ).fit(x)
        fit["mixtures"].append({"kind": kind, "logLikelihood": mixture.score(x), "bic": mixture.bic(x), "labels": mixture.predict(x).tolist()})
    fits.append(fit)

golden.mkdir(parents=True, exist_ok=True)
with open(golden / "density.json", "w") as file:
    json.dump({"recipes": recipes, "clusterings": clusterings, "judged": judged, "fits": fits}, file, separators=(",", ":"))
    file.write("\n")
