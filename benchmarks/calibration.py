"""Are the error bars right? z-scores of every sampled estimator over many seeds, and their picture.

    python benchmarks/calibration.py [--seeds 400] [--only MODEL] [--method NAME]

For every model with a known log Z and every estimator: z = (estimate - exact) / stderr over
independent seeds. Right error bars have mean 0 and standard deviation 1. Writes what was found to
``calibration.json``, beside what is there already, and draws it for the documentation.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from physdl import estimators, lattices, models, reference, sampling
from physdl.estimators import Estimator
from physdl.hamiltonian import Hamiltonian

HERE = Path(__file__).parent
RESULTS = HERE / "calibration.json"
PICTURE = HERE.parent / "docs" / "images" / "calibration.png"
CRITICAL = 0.5 * math.log(1 + math.sqrt(2))
WANTED_MEAN, WANTED_SD = 0.15, (0.85, 1.2)


def ising(coupling: float) -> tuple[Hamiltonian, float]:
    h = models.ising(lattices.square(16, 16), coupling)
    return h, float(reference.kaufman_log_z(16, 16, coupling))


def random_field_chain() -> tuple[Hamiltonian, float]:
    field = np.random.default_rng(1).normal(size=32)
    h = models.ising(lattices.chain(32), 0.8, field)
    return h, float(estimators.TransferMatrix()(h).log_z)


def potts() -> tuple[Hamiltonian, float]:
    h = models.potts(lattices.square(6, 6), 3, 0.9)
    return h, float(estimators.TransferMatrix()(h).log_z)


def rbm() -> tuple[Hamiltonian, float]:
    rng = np.random.default_rng(2)
    weights, visible, hidden = rng.normal(size=(24, 16)) * 0.3, rng.normal(size=24), 0.1
    h = models.rbm(weights, visible, hidden)
    return h, float(estimators.Auto()(h).log_z)


def phi4() -> tuple[Hamiltonian, float]:
    h = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
    return h, reference.phi4_log_z((4, 4), -4.0, 6.975).log_z


MODELS: dict[str, Callable[[], tuple[Hamiltonian, float]]] = {
    "Ising 16 x 16, K = 0.3": lambda: ising(0.3),
    "Ising 16 x 16, K critical": lambda: ising(CRITICAL),
    "Ising 16 x 16, K = 0.5": lambda: ising(0.5),
    "random-field chain": random_field_chain,
    "Potts 6 x 6, q = 3": potts,
    "RBM 24 x 16": rbm,
    "phi4 4 x 4": phi4,
}


def methods(model: str) -> dict[str, Estimator]:
    """The estimators, with cluster moves on the tori of the Ising model, else with their defaults.

    Local moves of the critical torus forget in hundreds of sweeps, as long as a whole run here. In
    the ordered phase few of 64 replicas have ancestors of their own, and a walk over energies has
    farther to go.
    """
    kernel = sampling.SwendsenWang() if model.startswith("Ising") else None
    ordered = model.endswith("0.5")
    ladder = {"n_states": 12, "n_sweeps": 400, "n_warmup": 100, "kernel": kernel}
    learn = 1600 if ordered else 400
    walk = {"n_walkers": 32, "n_learn": learn, "n_sweeps": 1000, "n_kept": 20}
    up = estimators.AIS(n_chains=128, variance=0.5, kernel=kernel) if kernel else estimators.AIS()
    integral = estimators.ThermodynamicIntegration
    nodes = {"n_nodes" if name == "n_states" else name: v for name, v in ladder.items()}
    return {
        "AIS": up,
        "ReverseAIS": estimators.ReverseAIS(up),
        "PopulationAnnealing": estimators.PopulationAnnealing(
            n_population=256 if ordered else 64, n_sweeps=2 if kernel else 5, kernel=kernel
        ),
        "TI, adaptive": integral(**nodes),
        "TI, Gauss-Legendre": integral(rule="gauss-legendre", **nodes),
        "MBAR": estimators.MBAR(**ladder),
        "HistogramReweighting": estimators.HistogramReweighting(**ladder),
        "WangLandau": estimators.WangLandau(**walk),
        "Multicanonical": estimators.Multicanonical(**walk),
        "Widom": estimators.Widom(site=0, n_sweeps=400),
    }


METHODS = tuple(methods(""))


def applies(method: str, model: str) -> bool:
    """An insertion needs a finite space, and an exact method for the rest."""
    return method != "Widom" or model in ("random-field chain", "Potts 6 x 6, q = 3")


def z_scores(method: Estimator, h: Hamiltonian, truth: float, n_seeds: int) -> dict[str, Any]:
    """z of every seed, the share of bounds that hold, of trusted runs, and seconds a run."""

    @jax.jit
    def run(key):
        e = method(h, key=key)
        return (e.log_z - truth) / e.stderr, e.status, e.lower, e.upper, e.stderr

    keys = jax.random.split(jax.random.key(2026), n_seeds)
    jax.block_until_ready(run(keys[0]))
    began = time.perf_counter()
    found = [jax.tree.map(float, run(key)) for key in keys]
    seconds = (time.perf_counter() - began) / n_seeds
    z, status, lower, upper, stderr = (np.array(column) for column in zip(*found, strict=True))
    sure = status == 0
    return {
        "z": np.round(z[sure], 4).tolist(),
        "trusted": float(np.mean(sure)),
        "held": float(np.mean((lower <= truth) & (truth <= upper))),
        "stderr": float(np.median(stderr)),
        "seconds": seconds,
    }


def draw(results: dict[str, dict[str, Any]]) -> None:
    """Mean and standard deviation of z for every method and model."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    shown = [m for m in METHODS if any(m in rows for rows in results.values())]
    names = [n for n in MODELS if n in results]
    figure, axes = plt.subplots(1, 2, figsize=(10, 0.42 * len(shown) + 1.4), sharey=True)
    for k, name in enumerate(names):
        rows = results[name]
        place = [(i, rows[m]) for i, m in enumerate(shown) if len(rows.get(m, {"z": ()})["z"]) > 1]
        at = np.array([i for i, _ in place]) + (k - len(names) / 2) * 0.09
        z = [np.array(row["z"]) for _, row in place]
        n = np.sqrt([len(v) for v in z])
        mean, sd = np.array([v.mean() for v in z]), np.array([v.std(ddof=1) for v in z])
        style = {"fmt": "o", "ms": 4, "lw": 1, "label": name}
        axes[0].errorbar(mean, at, xerr=sd / n, **style)
        axes[1].errorbar(sd, at, xerr=sd / n / math.sqrt(2), **style)
    axes[0].axvspan(-WANTED_MEAN, WANTED_MEAN, color="0.92", zorder=0)
    axes[1].axvspan(*WANTED_SD, color="0.92", zorder=0)
    axes[0].set(xlabel="mean of z", yticks=range(len(shown)), yticklabels=shown)
    axes[1].set(xlabel="standard deviation of z")
    axes[1].legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    axes[0].invert_yaxis()
    figure.tight_layout()
    figure.savefig(PICTURE, dpi=130)


def main() -> None:
    jax.config.update("jax_enable_x64", True)
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=400)
    parser.add_argument("--only", default="", help="models whose name contains this")
    parser.add_argument("--method", default="", help="methods whose name contains this")
    parser.add_argument("--draw", action="store_true", help="only draw what is there")
    given = parser.parse_args()
    for name, make in MODELS.items():
        if given.draw or given.only not in name:
            continue
        h, truth = make()
        for method, estimator in methods(name).items():
            if given.method not in method or not applies(method, name):
                continue
            row = z_scores(estimator, h, truth, given.seeds)
            z = np.array(row["z"])
            print(
                f"{name:28s}{method:22s} mean {z.mean():6.3f}  sd {z.std(ddof=1):5.3f}  "
                f"trusted {row['trusted']:.3f}  held {row['held']:.3f}  "
                f"stderr {row['stderr']:.3f}  {row['seconds']:.3f} s",
                flush=True,
            )
            results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            results.setdefault(name, {})[method] = row
            RESULTS.write_text(json.dumps(results, indent=None) + "\n")
    draw(json.loads(RESULTS.read_text()))


if __name__ == "__main__":
    main()
