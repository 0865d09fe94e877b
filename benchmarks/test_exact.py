"""pytest benchmarks --benchmark-only. Compilation is timed apart, as the first call.

Add --benchmark-timer=time.process_time for CPU time. Peers: enumeration against a Gray-code walk in
numba and a vmapped logsumexp of all energies, contraction against quimb, the stencil energy against
a hand-written roll expression, the transfer matrix against its own growth with width.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models
from physdl.report import _moments

jax.config.update("jax_enable_x64", True)


def timed(benchmark, function, *arguments, **info):
    jax.block_until_ready(function(*arguments))
    benchmark.extra_info.update(info)
    benchmark(lambda: jax.block_until_ready(function(*arguments)))


@pytest.mark.parametrize("n_sites", [20, 24, 26, 28])
def test_enumeration(benchmark, n_sites):
    h = models.sherrington_kirkpatrick(n_sites, 1.0, 0.1)
    timed(benchmark, lambda h: estimators.Enumeration()(h).log_z, h, states=2**n_sites)


@pytest.mark.parametrize("n_sites", [24, 26])
def test_peer_gray_code_in_numba(benchmark, n_sites):
    numba = pytest.importorskip("numba")

    def walk(couplings, field, highest):
        n = len(field)
        x, local = -np.ones(n), field - couplings.sum(axis=1)
        log_weight = -field.sum() + 0.5 * couplings.sum()
        total = np.exp(log_weight - highest)
        for state in range(1, 2**n):
            i = 0
            while not (state >> i) & 1:
                i += 1
            log_weight -= 2 * x[i] * local[i]
            x[i] = -x[i]
            row, step = couplings[i], 2 * x[i]
            for k in range(n):
                local[k] += step * row[k]
            total += np.exp(log_weight - highest)
        return highest + np.log(total)

    h = models.sherrington_kirkpatrick(n_sites, 1.0, 0.1)
    couplings = -np.asarray(h.terms["pair"].coefficient)
    exact = float(estimators.Enumeration()(h).log_z)
    compiled = numba.njit(fastmath=True)(walk)
    arguments = couplings, np.full(n_sites, 0.1), exact
    assert abs(compiled(*arguments) - exact) < 1e-9
    benchmark.extra_info.update(states=2**n_sites)
    benchmark.pedantic(compiled, arguments, rounds=5)


FIRST_CALLS = {
    "enumeration-sk28": (
        estimators.Enumeration(),
        lambda: models.sherrington_kirkpatrick(28, 1.0, 0.1),
    ),
    "enumeration-ising5x5": (
        estimators.Enumeration(),
        lambda: models.ising(lattices.square(5, 5), 0.4),
    ),
    "enumeration-potts4x4": (
        estimators.Enumeration(),
        lambda: models.potts(lattices.square(4, 4), 3, 0.9),
    ),
    "transfer-cylinder20": (estimators.TransferMatrix(), lambda: cylinder(20, 20)),
    "transfer-torus10": (
        estimators.TransferMatrix(),
        lambda: models.ising(lattices.square(10, 10), 0.44),
    ),
}


@pytest.mark.parametrize("estimator, model", FIRST_CALLS.values(), ids=FIRST_CALLS.keys())
def test_first_call(benchmark, estimator, model):
    h = model()
    run = lambda: jax.block_until_ready(estimator(h).log_z)
    benchmark.pedantic(run, setup=jax.clear_caches, rounds=3)


def test_first_specific_heat(benchmark):
    """Energy and specific heat of a 16 x 16 strip, compilation included."""
    h = cylinder(16, 16)
    benchmark.pedantic(lambda: _moments(h), setup=jax.clear_caches, rounds=3)


def cylinder(length, width):
    return models.ising(lattices.square(length, width, periodic=(False, True)), 0.44)


def test_enumeration_by_vmapped_energies(benchmark):
    h = models.sherrington_kirkpatrick(18, 1.0, 0.1)
    states = jnp.asarray(list(itertools.product([-1, 1], repeat=18)), dtype=jnp.int8)
    plain = jax.jit(lambda h, x: jax.nn.logsumexp(-jax.vmap(h)(x)))
    timed(benchmark, plain, h, states, states=2**18)


@pytest.mark.parametrize("width", [8, 10, 12, 14, 16, 18, 20])
def test_transfer_matrix_against_width(benchmark, width):
    method = estimators.TransferMatrix(axis=0)
    timed(benchmark, lambda h: method(h).log_z, cylinder(16, width), per_row=width * 2**width)


@pytest.mark.parametrize("length", [10, 12])
def test_transfer_matrix_of_a_torus(benchmark, length):
    h = models.ising(lattices.square(length, length), 0.44)
    timed(benchmark, lambda h: estimators.TransferMatrix()(h).log_z, h)


def test_transfer_matrix_of_a_20_by_20_cylinder(benchmark):
    timed(benchmark, lambda h: estimators.TransferMatrix()(h).log_z, cylinder(20, 20))


@pytest.mark.parametrize("length", [8, 10, 12])
def test_contraction_of_a_grid(benchmark, length):
    h = models.ising(lattices.square(length, length, periodic=False), 0.44)
    timed(benchmark, lambda h: estimators.Contraction()(h).log_z, h)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("length", [8, 10, 12])
def test_peer_quimb_on_the_same_grid(benchmark, length):
    quimb = pytest.importorskip("quimb.tensor")
    lattice = lattices.square(length, length, periodic=False)
    weight = np.exp(0.44 * np.array([[1.0, -1.0], [-1.0, 1.0]]))

    tensors = [quimb.Tensor(weight, (f"s{i}", f"s{j}")) for i, j in lattice.bonds.array]
    network = quimb.TensorNetwork(tensors)
    tree = network.contraction_tree(output_inds=(), optimize="auto-hq")
    timed(benchmark, lambda: network.contract(output_inds=(), optimize=tree))


@pytest.mark.parametrize("gradient", [False, True], ids=["energy", "gradient"])
@pytest.mark.parametrize("kind", ["stencil", "hand-written"])
def test_energy_of_a_large_lattice(benchmark, kind, gradient):
    h = models.ising(lattices.square(512, 512), 0.44)
    x = jnp.asarray(np.random.default_rng(0).choice([-1.0, 1.0], (512, 512)))
    roll = lambda h, x: -0.44 * jnp.sum(x * (jnp.roll(x, -1, 0) + jnp.roll(x, -1, 1)))
    energy = (lambda h, x: h(x)) if kind == "stencil" else roll
    timed(benchmark, jax.jit(jax.grad(energy, argnums=1) if gradient else energy), h, x)
