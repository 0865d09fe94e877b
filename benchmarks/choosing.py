"""Which estimator, map and sampler when: the measurements behind docs/choosing.md.

    python benchmarks/choosing.py [--seconds 420] [--missing]

Writes ``choosing.json`` beside this file and its tables into the page, below a mark; the tests hold
the page to them. Times are wall seconds: the first call with tracing and compilation, the
second with another key. What would begin after the time allowed is left out.
"""

import argparse
import json
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from physdl import estimators, lattices, models, rg, sampling
from physdl.errors import PhysdlError
from physdl.estimators import Estimator, Status
from physdl.hamiltonian import Hamiltonian
from physdl.sampling import Kernel

RESULTS = Path(__file__).with_name("choosing.json")
PAGE = Path(__file__).parents[1] / "docs" / "choosing.md"
MARK = "<!-- measured -->\n\n"
CRITICAL = 0.5 * math.log(1 + math.sqrt(2))
CUBIC_CRITICAL = 0.22165

EXACT = {
    "Planar": estimators.Planar(),
    "TransferMatrix": estimators.TransferMatrix(),
    "Contraction": estimators.Contraction(),
}
SAMPLED = {
    "AIS": estimators.AIS(),
    "PopulationAnnealing": estimators.PopulationAnnealing(),
    "MBAR": estimators.MBAR(),
    "ThermodynamicIntegration": estimators.ThermodynamicIntegration(),
}
BOX = {"BoundaryMPS": estimators.BoundaryMPS()}
TENSORS = {"TensorRG": estimators.TensorRG()}
DENSE = {"Enumeration": estimators.Enumeration(), "TAP(3)": estimators.TAP(3)}


def machine() -> Hamiltonian:
    """A restricted Boltzmann machine of 16 hidden units, weights of order one."""
    return models.rbm(0.3 * np.random.default_rng(0).normal(size=(64, 16)))


def counted() -> dict[str, tuple[Hamiltonian, dict[str, Estimator]]]:
    """Models, each with the methods to try; the first that is exact gives the reference."""
    torus = models.ising(lattices.square(8, 8), CRITICAL)
    open_glass = models.edwards_anderson(lattices.square(16, 16, periodic=False), 1.0, seed=1)
    return {
        "Ising torus 8 x 8 at K_c": (torus, {**EXACT, **SAMPLED, **TENSORS}),
        "Ising torus 32 x 32 at K_c": (
            models.ising(lattices.square(32, 32), CRITICAL),
            {"Planar": EXACT["Planar"], **TENSORS, **SAMPLED},
        ),
        "2D glass 16 x 16, open, beta = 1": (open_glass, {**EXACT, **BOX, **SAMPLED}),
        "Ising torus 6^3 at K_c": (models.ising(lattices.cubic(6, 6, 6), CUBIC_CRITICAL), SAMPLED),
        "Potts q = 3, torus 6 x 6 at K_c": (
            models.potts(lattices.square(6, 6), 3, math.log(1 + math.sqrt(3))),
            {"TransferMatrix": EXACT["TransferMatrix"], **SAMPLED, **TENSORS},
        ),
        "SK n = 20, beta = 0.5": (
            models.sherrington_kirkpatrick(20, 0.5),
            {**DENSE, **SAMPLED},
        ),
        "SK n = 100, beta = 0.5": (
            models.sherrington_kirkpatrick(100, 0.5),
            {**DENSE, **SAMPLED},
        ),
        "XY torus 8 x 8, K = 1": (models.xy(lattices.square(8, 8), 1.0), SAMPLED),
        "phi4 ring of 16, r = -1, u = 1": (
            models.phi4(lattices.chain(16), r=-1.0, u=1.0),
            {"Quadrature": estimators.Quadrature(), **SAMPLED},
        ),
        "phi4 torus 4 x 4, r = -1, u = 1": (
            models.phi4(lattices.square(4, 4), r=-1.0, u=1.0),
            SAMPLED,
        ),
        "RBM 64 x 16": (machine(), {"LayerSum": estimators.LayerSum(), **SAMPLED}),
    }


def timed(call: Callable[[int], Any]) -> tuple[Any, float, float]:
    """The result of a second call, the seconds of the first and of the second."""
    spent = []
    for seed in range(2):
        start = time.perf_counter()
        out = jax.block_until_ready(call(seed))
        spent.append(time.perf_counter() - start)
    return out, spent[0], spent[1]


def count(h: Hamiltonian, methods: dict[str, Estimator]) -> list[dict[str, Any]]:
    exact, rows = None, []
    for name, method in methods.items():
        try:
            found, first, second = timed(lambda seed, m=method: m(h, key=jax.random.key(seed)))
        except PhysdlError as error:
            rows.append({"method": name, "refused": type(error).__name__})
            continue
        status = Status(int(found.status)).name
        if exact is None and float(found.stderr) == 0 and status == "OK":
            exact = float(found.log_z)
        rows.append(
            {
                "method": name,
                "log_z": float(found.log_z),
                "stderr": float(found.stderr),
                "error": None if exact is None else float(found.log_z) - exact,
                "first": first,
                "second": second,
                "status": status,
            }
        )
    return rows


def maps() -> list[dict[str, Any]]:
    """y_T of the square Ising model (exactly 1) and 1 / nu of the cubic one."""

    def of(step: Any, guess: Any, which: int = 0) -> Callable[[int], Any]:
        return lambda seed: rg.exponents(step, rg.fixed_point(step, guess)).y[which]

    guess = jnp.array([0.28, 0.14, -0.01, 0.0, 0.0])

    def best(start: Any) -> Any:
        return of(rg.best_kadanoff(start), start, 1)(0)

    functional = rg.FunctionalRG(n_components=1, dim=3)
    cases = {
        "`MigdalKadanoff`, b = 2": (1.0, of(rg.MigdalKadanoff(2, 2), jnp.array([0.3]))),
        "`MigdalKadanoffFlow`, b to 1": (1.0, of(rg.MigdalKadanoffFlow(2), jnp.array([0.4]))),
        "`Cumulant(1)`, triangular": (1.0, of(rg.Cumulant(1), jnp.array([0.33, 0.0]), 1)),
        "`Kadanoff`, best": (1.0, lambda seed: best(guess)),
        "`FunctionalRG`, d = 3": (1 / 0.62997097, of(functional, functional.guess())),
    }
    rows = []
    for name, (exact, call) in cases.items():
        found, first, second = timed(call)
        rows.append(
            {"map": name, "y": float(found), "exact": exact, "first": first, "second": second}
        )
    return rows


def moved() -> dict[str, tuple[Hamiltonian, dict[str, Kernel], str]]:
    """Models, each with the kernels to try and the observable that is slow."""
    local: dict[str, Kernel] = {
        "HeatBath": sampling.HeatBath(),
        "Metropolis": sampling.Metropolis(),
    }
    clusters: dict[str, Kernel] = {
        "SwendsenWang": sampling.SwendsenWang(),
        "Wolff": sampling.Wolff(),
    }
    ladder = sampling.ParallelTempering(sampling.HeatBath(), jnp.linspace(0.3, 1.0, 8))
    square = lattices.square(32, 32)
    return {
        "Ising 32 x 32 at K_c": (models.ising(square, CRITICAL), {**local, **clusters}, "m2"),
        "Ising 32 x 32, K = 0.6": (models.ising(square, 0.6), {**local, **clusters}, "m2"),
        "2D glass 16 x 16, beta = 1": (
            models.edwards_anderson(lattices.square(16, 16), 1.0, seed=1),
            {**local, "ParallelTempering, 8 of HeatBath": ladder, **clusters},
            "energy",
        ),
        "XY 32 x 32, K = 1.1": (
            models.xy(square, 1.1),
            {
                **local,
                "HeatBath + 4 Overrelaxation": sampling.Cycle(
                    [sampling.HeatBath(), *[sampling.Overrelaxation()] * 4]
                ),
                **clusters,
            },
            "m2",
        ),
        "phi4 16 x 16, r = -1, u = 1": (
            models.phi4(lattices.square(16, 16), r=-1.0, u=1.0),
            {
                "Metropolis": sampling.Metropolis(),
                "HMC": sampling.HMC(step_size=0.15, n_leapfrogs=10),
                "FourierHMC": sampling.FourierHMC(step_size=0.15, n_leapfrogs=10),
            },
            "m2",
        ),
    }


def move(h: Hamiltonian, kernels: dict[str, Kernel], slow: str) -> list[dict[str, Any]]:
    rows = []
    for name, kernel in kernels.items():
        try:
            out, first, second = timed(
                lambda seed, k=kernel: sampling.run(
                    k, h, key=jax.random.key(seed), n_sweeps=2000, n_chains=8
                )
            )
        except PhysdlError as error:
            rows.append({"kernel": name, "refused": type(error).__name__})
            continue
        series = out[slow]
        rows.append(
            {
                "kernel": name,
                "observable": slow,
                "tau": float(series.tau),
                "ess_per_second": float(series.effective_sample_size) / second,
                "first": first,
                "second": second,
                "status": out.status.name,
            }
        )
    return rows


def _number(x: float | None, digits: int = 2) -> str:
    if x is None or math.isnan(x):
        return "-"
    return "0" if x == 0 else f"{x:.{digits}g}" if abs(x) < 10 else f"{x:.0f}"


def _estimator_row(r: dict[str, Any]) -> str:
    if "refused" in r:
        return f"| `{r['method']}` | - | - | - | - | refused: `{r['refused']}` |"
    numbers = [r["error"], r["stderr"], r["first"], r["second"]]
    return f"| `{r['method']}` | {' | '.join(map(_number, numbers))} | {r['status']} |"


def _map_row(r: dict[str, Any]) -> str:
    times = f"{_number(r['first'])} | {_number(r['second'])}"
    return f"| {r['map']} | {r['y']:.4f} | {r['exact']:.4f} | {times} |"


def _kernel_row(r: dict[str, Any]) -> str:
    if "refused" in r:
        return f"| {r['kernel']} | - | - | - | refused: `{r['refused']}` |"
    numbers = [r["tau"], r["ess_per_second"], r["first"]]
    return f"| {r['kernel']} | {' | '.join(map(_number, numbers))} | {r['status']} |"


def _rows(columns: str, rows: list[str]) -> str:
    rule = "|".join(["---"] * (columns.count("|") + 1))
    return "\n".join([f"| {columns} |", f"|{rule}|", *rows])


def _decision(name: str, rows: list[dict[str, Any]]) -> str:
    """The exact method that is fastest, the noisy one sharpest for its time, the nearest other."""
    sound = [r for r in rows if r.get("status") == "OK"]
    exact = [r for r in sound if r["stderr"] == 0]
    noisy = [r for r in sound if r["stderr"] > 0]
    other = [r for r in sound if math.isnan(r["stderr"]) and r["error"] is not None]
    sharpness = lambda r: r["stderr"] * math.sqrt(r["second"])
    cells = [name, "-", "-", "-"]
    if exact:
        best = min(exact, key=lambda r: r["second"])
        cells[1] = f"`{best['method']}`, {_number(best['second'])} s"
    if noisy:
        best = min(noisy, key=sharpness)
        cells[2] = f"`{best['method']}`, {_number(sharpness(best))}"
    if other:
        best = min(other, key=lambda r: abs(r["error"]))
        cells[3] = f"`{best['method']}`, {_number(best['error'])} in {_number(best['second'])} s"
    return f"| {' | '.join(cells)} |"


def _best_kernel(name: str, rows: list[dict[str, Any]]) -> str:
    best = max((r for r in rows if r.get("status") == "OK"), key=lambda r: r["ess_per_second"])
    return f"| {name} | {best['kernel']} | {_number(best['ess_per_second'])} |"


def _decisions(results: dict[str, Any]) -> list[str]:
    counting = "model | exact | stderr after one second | without a claim: error"
    moving = "model | kernel | effective draws a second"
    return [
        "## The best of every table",
        _rows(counting, [_decision(n, r) for n, r in results["estimators"].items()]),
        _rows(moving, [_best_kernel(n, r) for n, r in results["samplers"].items()]),
    ]


def measured(results: dict[str, Any]) -> str:
    """The part of docs/choosing.md that is measured, in Markdown."""
    out = [*_decisions(results), "## Estimators of log Z"]
    for name, rows in results["estimators"].items():
        columns = "method | error, nats | stderr | first call, s | second, s | status"
        out += [f"### {name}", _rows(columns, [_estimator_row(r) for r in rows])]
    columns = "map | y | exact | first call, s | second, s"
    out += ["## Maps", _rows(columns, [_map_row(r) for r in results["maps"]]), "## Samplers"]
    for name, rows in results["samplers"].items():
        columns = "kernel | tau, sweeps | effective draws a second | first call, s | status"
        out += [f"### {name}", _rows(columns, [_kernel_row(r) for r in rows])]
    return "\n\n".join(out) + "\n"


def write_page() -> None:
    """Put the tables of choosing.json into the page, below its mark."""
    prose = PAGE.read_text().partition(MARK)[0]
    PAGE.write_text(prose + MARK + measured(json.loads(RESULTS.read_text())))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=420)
    parser.add_argument("--missing", action="store_true", help="measure what the file lacks")
    options = parser.parse_args()
    until = time.monotonic() + options.seconds
    jax.config.update("jax_enable_x64", True)
    if options.missing:
        results: dict[str, Any] = json.loads(RESULTS.read_text())
    else:
        results = {"estimators": {}, "maps": maps(), "samplers": {}}
    for into, cases, measure in (
        ("samplers", moved(), move),
        ("estimators", counted(), count),
    ):
        for name, case in cases.items():
            if name not in results[into] and time.monotonic() < until:
                results[into][name] = measure(*case)
                print(name, json.dumps(results[into][name], indent=1), flush=True)
                RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    write_page()


if __name__ == "__main__":
    main()
