"""The pictures of docs/plotting.md: python benchmarks/gallery.py writes docs/images/plotting_*.png.

Everything is drawn from results of small runs with fixed keys.
"""

import pathlib

import jax
import jax.numpy as jnp
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
    scaling,
    spaces,
    tensors,
)
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module

IMAGES = pathlib.Path(__file__).parents[1] / "docs" / "images"
CRITICAL = float(reference.square_critical_coupling())


def configurations(axes):
    square = lattices.square(48, 48)
    graph = lattices.random_regular(60, 3, seed=1)
    shown = [
        (models.ising(square, CRITICAL), sampling.SwendsenWang()),
        (models.potts(square, 4, 1.08), sampling.SwendsenWang()),
        (models.xy(square, 1.2), sampling.HeatBath()),
        (models.ising(graph, 0.6), sampling.HeatBath()),
    ]
    for ax, (h, kernel) in zip(axes, shown, strict=True):
        run = sampling.run(kernel, h, key=jax.random.key(1), n_sweeps=200, n_chains=1)
        plotting.configuration(h, run.state[0], ax=ax)


def free_energies(axes):
    h = models.ising(lattices.square(6, 6), CRITICAL)
    exact = float(reference.kaufman_log_z(6, 6, CRITICAL))
    methods = {
        "transfer matrix": estimators.TransferMatrix(),
        "TAP": estimators.TAP(),
        "annealing": estimators.AIS(n_temperatures=64),
        "annealing and back": estimators.ReverseAIS(estimators.AIS(n_temperatures=256)),
        "MBAR": estimators.MBAR(n_sweeps=300),
    }
    found = {name: method(h, key=jax.random.key(2)) for name, method in methods.items()}
    plotting.estimates(found, exact=exact, n_sites=36, ax=axes[0])
    k = np.linspace(0.1, 0.7, 7)
    fine = np.linspace(0.1, 0.7, 50)
    log_z = [float(reference.kaufman_log_z(6, 6, x)) for x in fine]
    method = estimators.ReverseAIS(estimators.AIS(n_temperatures=32))
    rows = [method(models.ising(lattices.square(6, 6), x), key=jax.random.key(3)) for x in k]
    plotting.free_energy_curve(k, rows, exact=(fine, log_z), name="annealing", ax=axes[1])
    levels, counts = reference.ising_density_of_states(16, 16)
    log_g = [float(np.log(float(c))) if c else -np.inf for c in counts]
    density = estimators.DensityOfStates(
        jnp.asarray(levels, float), jnp.asarray(log_g), jnp.zeros(len(levels))
    )
    plotting.density_of_states(density, (0.0, 0.3, CRITICAL, 0.6), ax=axes[2])


def flows(axes):
    clock = rg.MigdalKadanoff(2, 2, rg.bond(spaces.clock(5)))
    seen = rg.flow_field(clock, np.linspace(0, 1.4, 17), np.linspace(-0.2, 0.2, 17))
    plotting.flow_field(seen, ax=axes[0])
    start = jnp.array([0.95, 0.02])
    plotting.flow(rg.flow(clock, start, 12), start=start, ax=axes[1])
    torus = lattices.square(32, 32)
    h = models.ising(torus, CRITICAL)
    run = sampling.run(
        sampling.SwendsenWang(),
        h,
        key=jax.random.key(0),
        n_sweeps=1000,
        n_kept=100,
        n_chains=16,
    )
    blocks = rg.blocked(run.ensemble, rg.Majority(2), key=jax.random.key(1))
    basis = rg.operator_basis(torus, max_range={2: 2.3, 4: 1.5})
    fit = rg.pseudolikelihood(blocks, basis, n_blocks=32)
    plotting.couplings(fit, known={"nearest neighbour": CRITICAL}, ax=axes[2])
    found = rg.mcrg_run(
        sampling.SwendsenWang(),
        h,
        rg.Majority(2),
        even=rg.operator_basis(lattices.square(8, 8), max_range={2: 1.5, 4: 1.5}),
        n_steps=3,
        n_sweeps=1500,
        key=jax.random.key(2),
    )
    plotting.exponents(found.even, expected=1.0, ax=axes[3])


def chains(axes):
    h = models.ising(lattices.square(16, 16), CRITICAL)
    kernels = {"heat bath": sampling.HeatBath(), "Swendsen-Wang": sampling.SwendsenWang()}
    measured = {}
    for name, kernel in kernels.items():
        run = sampling.run(
            kernel,
            h,
            key=jax.random.key(2),
            n_sweeps=4000,
            n_chains=4,
            observables={"m2": sampling.OrderParameter(h.space, 2)},
        )
        measured[name] = run["m2"]
    plotting.trace(measured["heat bath"], name="$m^2$", ax=axes[0])
    plotting.autocorrelation(measured, n_shown=300, ax=axes[1])
    sizes, k = np.array([[8], [12], [16], [24]]), np.linspace(0.41, 0.47, 9)[None]
    binder = [[_binder(int(n), float(x)) for x in k[0]] for n in sizes[:, 0]]
    value, stderr = np.array(binder).transpose(2, 0, 1)
    fit = scaling.collapse(k, value, stderr, sizes)
    plotting.collapse(fit, sizes, ax=axes[2])


def _binder(length, k):
    run = sampling.run(
        sampling.SwendsenWang(),
        models.ising(lattices.square(length, length), k),
        key=jax.random.key(3),
        n_sweeps=1500,
        n_chains=4,
    )
    found = sampling.jackknife(lambda m2, m4: 1 - m4[0] / (3 * m2[0] ** 2), [run["m2"], run["m4"]])
    return float(found.value), float(found.stderr)


def spectra(axes):
    bulk = tensors.bulk(models.ising(lattices.square(2, 2), CRITICAL))
    history = tensors.coarsen(tensors.TRG(chi=16), bulk, 16)
    plotting.spectrum(history.spectrum, ax=axes[0])
    loop = tensors.LoopTNR(chi=8)
    steps = range(4, 17, 2)
    data = [tensors.conformal_data(tensors.coarsen(loop, bulk, n).network, n=8) for n in steps]
    expected = (0, 1 / 8, 1, 9 / 8, 2)
    plotting.conformal_tower(data, expected, steps=steps, ax=axes[1])
    plotting.conformal_tower(data[2], expected, ax=axes[2])


def machines(axes):
    from sklearn.datasets import load_digits

    pixels = (load_digits().data > 0).astype(float)
    pixels = pixels[np.random.default_rng(0).permutation(len(pixels))]
    start = networks.RBM.initial(64, 16, data=pixels[:1500], key=jax.random.key(0))
    found = learning.train_boltzmann(
        start,
        pixels[:1500],
        method=learning.PCD(),
        optimizer=optax.sgd(optax.cosine_decay_schedule(1.0, 1500)),
        n_steps=1500,
        batch_size=100,
        key=jax.random.key(1),
    )
    plotting.receptive_fields(found.result, (8, 8), ax=axes[0])
    objective = Misfit(models.ising(lattices.chain(6), 0.3))
    fit = learning.fit(
        objective,
        networks.mlp(6, 1, widths=(16,), key=jax.random.key(2)),
        optimizer=optax.adam(optax.cosine_decay_schedule(1e-2, 1000)),
        n_steps=1000,
        key=jax.random.key(3),
        monitor=lambda network: jnp.sqrt(objective(network, jax.random.key(4))),
    )
    plotting.training(fit, loss="squared error", monitor="error on other states", ax=axes[1])
    reports = {
        name: networks.compile_polynomial(model, tolerance=1e-4)[1]
        for name, model in {
            "chain of 8": models.ising(lattices.chain(8), 0.4, field=0.1),
            "square 4 x 4": models.ising(lattices.square(4, 4), 0.4, field=0.1),
            "cube 3 x 3 x 3": models.ising(lattices.cubic(3, 3, 3), 0.4, field=0.1),
        }.items()
    }
    plotting.network_cost(reports, ax=axes[2])


@module
class Misfit:
    """The squared distance of a network to a Hamiltonian on random spins."""

    h: Hamiltonian

    def __call__(self, network, key):
        spins = jax.random.rademacher(key, (64, *self.h.shape), dtype=float)
        seen = jax.vmap(network)(spins)[:, 0]
        return jnp.mean((seen - jax.vmap(self.h)(spins)) ** 2)


PAGES = {
    "configurations": (configurations, 4),
    "free_energies": (free_energies, 3),
    "flows": (flows, 4),
    "chains": (chains, 3),
    "spectra": (spectra, 3),
    "machines": (machines, 3),
}


def main():
    jax.config.update("jax_enable_x64", True)
    for name, (draw, n) in PAGES.items():
        with plotting.style():
            figure, axes = plt.subplots(1, n, figsize=(3.9 * n, 3.5), layout="constrained")
            draw(axes)
            figure.savefig(IMAGES / f"plotting_{name}.png", dpi=90)
            plt.close(figure)
        print(name, flush=True)


if __name__ == "__main__":
    main()
