"""The picture of the README: one model counted, coarsened and learned.

python benchmarks/overview.py writes docs/images/overview.png (a minute on two cores).
"""

from pathlib import Path

import jax
import jax.numpy as jnp
import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import optax

from physdl import (
    estimators,
    lattices,
    learning,
    models,
    networks,
    plotting,
    reference,
    rg,
    sampling,
    spaces,
)

jax.config.update("jax_enable_x64", True)

CRITICAL = 0.5 * np.log1p(np.sqrt(2))
TARGET = Path(__file__).parents[1] / "docs" / "images" / "overview.png"


def drawn(ax):
    """A configuration at the critical point."""
    h = models.ising(lattices.square(128, 128), CRITICAL)
    out = sampling.run(
        sampling.SwendsenWang(), h, key=jax.random.key(2), n_sweeps=200, n_chains=1, n_kept=1
    )
    plotting.configuration(h, out.ensemble.states.reshape(128, 128), bar=False, ax=ax)
    ax.set_title("Describe, sample", loc="left")


def counted(ax):
    """Six ways to one log Z."""
    h = models.ising(lattices.square(8, 8), CRITICAL)
    methods = {
        "transfer matrix": estimators.TransferMatrix(),
        "Kac-Ward": estimators.Planar(),
        "AIS up and back": estimators.ReverseAIS(),
        "MBAR": estimators.MBAR(),
        "population": estimators.PopulationAnnealing(),
        "neural": learning.VariationalAutoregressive(n_steps=1000),
    }
    found = {n: m(h, key=jax.random.key(1)) for n, m in methods.items()}
    exact = float(reference.kaufman_log_z(8, 8, CRITICAL))
    plotting.estimates(found, exact=exact, ax=ax)
    ax.set_title("Count", loc="left", pad=18)


def coarsened(ax):
    """Two couplings of the five-state clock model under bond moving."""
    step = rg.MigdalKadanoff(2, 2, rg.bond(spaces.clock(5)))
    field = rg.flow_field(step, np.linspace(0, 1.4, 15), np.linspace(-0.2, 0.2, 13))
    plotting.flow_field(field, names=("$K_1$", "$K_2$"), ax=ax)
    ax.set_title("Coarsen", loc="left", pad=18)


def learned(ax):
    """The bound of an autoregressive network falls onto the exact free energy."""
    h = models.ising(lattices.square(8, 8), CRITICAL)
    q = networks.frontier(h, widths=(16,), key=jax.random.key(3))
    out = learning.minimise_free_energy(
        q,
        h,
        optimizer=optax.adam(1e-2),
        n_steps=400,
        batch_size=128,
        key=jax.random.key(4),
    )
    exact = float(reference.kaufman_log_z(8, 8, CRITICAL))
    gap = (np.asarray(out.losses) + exact) / 64
    ax.semilogy(gap, lw=0.8, color="#2f7fb8")
    ax.set(xlabel="training step", ylabel="bound $-$ exact $f$ (k$_B$T per site)")
    ax.set_title("Learn", loc="left")


def main():
    with plotting.style():
        figure, axes = plt.subplots(1, 4, figsize=(13.5, 3.3), layout="constrained")
        for draw, ax in zip((drawn, counted, coarsened, learned), axes, strict=True):
            draw(ax)
        figure.savefig(TARGET, dpi=130)
    print(TARGET.name, jnp.result_type(float))


if __name__ == "__main__":
    main()
