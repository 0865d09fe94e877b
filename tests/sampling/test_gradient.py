"""Gradient-informed moves: exact transition matrices of the code that runs, and what they find."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from transition import boltzmann, states_of, transition_matrix

from physdl import lattices, models
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.sampling.gradient import DiscreteLangevin, GibbsWithGradients
from physdl.spaces import BINARY, SPIN, Product, levels, spin

pytestmark = pytest.mark.slow


def normal(*shape, scale=1.0, seed=5):
    return jnp.asarray(scale * np.random.default_rng([seed, *shape]).normal(size=shape))


def disordered_ising():
    lattice = lattices.square(2, 3, periodic=False)
    return models.ising(lattice, normal(lattice.n_bonds, scale=0.7), normal(6, scale=0.5))


def stencil_ising():
    bond = Stencil(normal(1, 5, scale=0.6), [[[0], [1]]])
    triple = Stencil(0.3, [[[0], [1], [3]]])
    return Hamiltonian({"bond": bond, "triple": triple}, space=SPIN, shape=(5,))


def blume_capel():
    lattice = lattices.square(2, 2, periodic=False)
    return models.blume_capel(lattice, normal(lattice.n_bonds), 0.7, 0.2, biquadratic=0.3)


def cubic_terms():
    triples = Sites(normal(4), [[0, 1, 2], [1, 2, 3], [0, 3, 4], [2, 2, 4]])
    return Hamiltonian({"three": triples, "site": Sites(0.3, [[1]])}, space=BINARY, shape=(5,))


def mixed():
    space = Product((BINARY, spin(1), SPIN, levels(1), levels(4)))
    pairs = Sites(normal(4), [[0, 1], [1, 2], [2, 4], [3, 4]])
    table = Potential(normal(2, 3, 4), [[0, 1, 4]])
    return Hamiltonian({"pair": pairs, "table": table}, space=space, shape=(5,))


def hard_squares():
    lattice = lattices.square(2, 3, periodic=False)
    hard = Potential([[0.0, 0.0], [0.0, jnp.inf]], lattice.bonds)
    gas = Sites(normal(6), np.arange(6)[:, None])
    return Hamiltonian({"hard": hard, "gas": gas}, space=BINARY, shape=(2, 3))


MODELS = {
    "ising": disordered_ising,
    "stencil": stencil_ising,
    "rbm": lambda: models.rbm(normal(4, 2), normal(4), normal(2)),
    "dense": lambda: Hamiltonian({"pair": Dense(normal(6, 6))}, space=SPIN, shape=(6,)),
    "blume_capel": blume_capel,
    "potts": lambda: models.potts(lattices.chain(4), 3, normal(4), normal(4, 3)),
    "clock": lambda: models.clock(lattices.chain(3), 4, 0.6, normal(3, 2)),
    "cubic": cubic_terms,
    "mixed": mixed,
    "hard": hard_squares,
}
NOT_LINEAR = ("blume_capel", "clock", "mixed", "hard")
KERNELS = {
    "gwg": GibbsWithGradients(n_flips=1),
    "gwg_exact": GibbsWithGradients(n_flips=1, exact=True),
    "dmala": DiscreteLangevin(0.8),
    "dmala_exact": DiscreteLangevin(0.8, exact=True),
}


def unrolled(step, carry, inputs):
    """``jax.lax.scan`` written out, so that the script sees each decision."""
    outs = []
    for i in range(len(jax.tree.leaves(inputs)[0])):
        carry, out = step(carry, jax.tree.map(lambda v, i=i: v[i], inputs))
        outs.append(out)
    return carry, jax.tree.map(lambda *v: jnp.stack(v), *outs)


def within(space, kernel):
    """The kernel with outcomes of probability zero, missing states, turned into staying."""
    if not isinstance(space, Product):
        return kernel
    points = jnp.asarray(space.padded(len(space.spaces))[..., 0])

    def inside(h, x, *, key):
        y, info = kernel(h, x, key=key)
        return jnp.where(jnp.all(jnp.any(points == y[:, None], axis=1)), y, x), info

    return inside


def all_states(h):
    if not isinstance(h.space, Product):
        return states_of(h)
    points = [h.space.at(i).array[:, 0] for i in range(h.n_sites)]
    return np.stack([g.reshape(-1) for g in np.meshgrid(*points, indexing="ij")], axis=1)


CASES = [(m, k) for m in MODELS for k in KERNELS if "exact" not in k or m in NOT_LINEAR]


@pytest.mark.parametrize(("model", "kernel"), CASES)
def test_detailed_balance(model, kernel):
    h = MODELS[model]()
    states = all_states(h)
    with mock.patch.object(jax.lax, "scan", unrolled):
        matrix = transition_matrix(within(h.space, KERNELS[kernel]), h, states)
    p = boltzmann(h, states)
    allowed = p > 0
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=1e-12)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-12)
    flow = p[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)
    reached = np.linalg.matrix_power(matrix[np.ix_(allowed, allowed)], 64)
    assert reached.min() > 0


@pytest.mark.parametrize("kernel", [GibbsWithGradients(n_flips=2), DiscreteLangevin(0.7, 2)])
def test_several_moves_in_one_call(kernel):
    h = models.rbm(normal(2, 1), normal(2), normal(1))
    states = all_states(h)
    with mock.patch.object(jax.lax, "scan", unrolled):
        matrix = transition_matrix(kernel, h, states)
    p = boltzmann(h, states)
    flow = p[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)


def test_parity_is_not_conserved_where_every_flip_is_accepted():
    h = models.ising(lattices.chain(3), 0.0)
    states = all_states(h)
    with mock.patch.object(jax.lax, "scan", unrolled):
        matrix = transition_matrix(GibbsWithGradients(n_flips=2), h, states)
    assert np.linalg.matrix_power(matrix, 8).min() > 0


def test_a_step_for_each_site_is_a_preconditioner():
    h = models.ising(lattices.chain(4), normal(4), normal(4, seed=6))
    states, p = all_states(h), boltzmann(h, all_states(h))
    kernel = DiscreteLangevin(jnp.array([0.3, 1.0, 2.0, 5.0]))
    with mock.patch.object(jax.lax, "scan", unrolled):
        flow = p[:, None] * transition_matrix(kernel, h, states)
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)
    with pytest.raises(ShapeError, match=r"shape \(4,\), got shape \(3,\)"):
        DiscreteLangevin(jnp.ones(3))(h, jnp.ones(4), key=jax.random.key(0))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kernel", [GibbsWithGradients(), DiscreteLangevin(2.0, 3)])
def test_many_chains_of_mixed_sites(kernel, dtype):
    """Compiled and vmapped: from one state to the exact distribution in 40 calls."""
    h = jax.tree.map(lambda c: c.astype(dtype), mixed())
    states = all_states(h)
    n_chains = 4000

    @jax.jit
    def run(x, key):
        def sweep(x, key):
            return jax.vmap(lambda x, k: kernel(h, x, key=k)[0])(x, jax.random.split(key, n_chains))

        return jax.lax.scan(lambda x, k: (sweep(x, k), None), x, jax.random.split(key, 40))[0]

    start = jnp.tile(jnp.asarray(states[0], dtype), (n_chains, 1))
    x = run(start, jax.random.key(3))
    assert x.dtype == h.dtype
    where = {tuple(state): i for i, state in enumerate(states.tolist())}
    counts = np.bincount([where[tuple(s)] for s in np.asarray(x).tolist()], minlength=len(states))
    expected = n_chains * boltzmann(mixed(), states)
    rare = expected < 5
    counts, expected = (np.append(v[~rare], v[rare].sum()) for v in (counts, expected))
    assert stats.chisquare(counts, expected * counts.sum() / expected.sum()).pvalue > 1e-3


def test_a_forbidden_start_is_left():
    h = hard_squares()
    full = jnp.ones((2, 3))
    for kernel in (GibbsWithGradients(n_flips=40), DiscreteLangevin(2.0, 40)):
        x, info = jax.jit(lambda k: kernel(h, full, key=k))(jax.random.key(1))  # noqa: B023
        assert jnp.isfinite(h(x)) and jnp.isfinite(info["acceptance"])


def test_where_nothing_can_move_nothing_does():
    hard = Potential([[0.0, jnp.inf], [jnp.inf, 0.0]], [[0, 1]])
    h = Hamiltonian({"equal": hard}, space=SPIN, shape=(2,))
    move = jax.jit(lambda key: GibbsWithGradients()(h, jnp.ones(2), key=key))
    x, info = move(jax.random.key(0))
    assert x.tolist() == [1, 1] and float(info["acceptance"]) == 0


def test_frozen_sites_cost_nothing():
    """In a strong field with one soft site the proposals go to the soft site."""
    field = jnp.full(50, 20.0).at[7].set(0.0)
    h = models.ising(lattices.chain(50), 0.0, field)
    keys = jax.random.split(jax.random.key(4), 400)
    kernel = GibbsWithGradients(n_flips=1)
    x = jax.jit(jax.vmap(lambda k: kernel(h, jnp.ones(50), key=k)[0]))(keys)
    flipped = jnp.mean(x < 0, axis=0)
    assert float(flipped[7]) > 0.4 and float(jnp.sum(flipped)) == pytest.approx(float(flipped[7]))


def test_bad_input_is_named():
    with pytest.raises(SettingError, match="n_flips is a positive integer, got 0"):
        GibbsWithGradients(n_flips=0)
    with pytest.raises(SettingError, match=r"n_steps is a positive integer, got 1\.5"):
        DiscreteLangevin(1.0, n_steps=1.5)
    for bad in (0.0, -1.0, jnp.nan, jnp.inf):
        with pytest.raises(SettingError, match="step size is positive and finite"):
            DiscreteLangevin(bad)
    h = models.phi4(lattices.chain(3), r=1.0, u=1.0)
    with pytest.raises(SpaceError, match="a move along the gradient needs a finite space"):
        GibbsWithGradients()(h, jnp.zeros(3), key=jax.random.key(0))
    with pytest.raises(ShapeError, match="one configuration of shape"):
        GibbsWithGradients()(hard_squares(), jnp.zeros((4, 2, 3)), key=jax.random.key(0))
