import functools
import itertools

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_models import MODELS
from flax import nnx

from physdl import lattices, models, networks
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.networks.autoregressive import shifted
from physdl.networks.autoregressive._fields import (
    ending_tables,
    energies_of_site,
    energies_of_sites,
    frontier_of,
)

KEY = jax.random.key(0)
MIXED = MODELS["mixed levels"]
ISING = models.ising(lattices.square(2, 3), 0.3, 0.2)
PRESSED = {
    "made": networks.made,
    "frontier": networks.frontier,
    "pixel_cnn": lambda h, **kw: networks.pixel_cnn(h, width=4, depth=2, reach=2, **kw),
    "transformer": lambda h, **kw: networks.transformer(h, width=8, **kw),
}
CASES = {f"{name}-ising": (name, ISING) for name in PRESSED}
CASES |= {f"frontier-{m}": ("frontier", MODELS[m]) for m in ("mixed levels", "hard squares", "rbm")}
CASES["made-clock"] = ("made", models.clock(lattices.chain(4), 4, 0.7, 0.1))


def shaken(q, spread=0.4):
    """The distribution with random weights everywhere, the last layers included."""
    rng = np.random.default_rng(7)
    noisy = jax.tree.map(
        lambda a: a + jnp.asarray(spread * rng.normal(size=a.shape), a.dtype), q.network
    )
    return q.with_parts(noisy, q.h)


@functools.cache
def on_ising(name):
    return shaken(PRESSED[name](ISING, key=KEY))


def configurations(h):
    points = [np.array(h.space.at(i).points) for i in range(h.n_sites)]
    rows = [np.stack(row) for row in itertools.product(*points)]
    return jnp.asarray(np.stack(rows).reshape(-1, *h.state_shape))


def log_probs(q, x):
    return jax.jit(jax.vmap(q.log_prob))(x)


def draws(q, n, key=KEY):
    return jax.vmap(q.sample)(jax.random.split(key, n))


def numbered(x):
    """The number of each configuration of six spins in the list of all."""
    return (np.asarray(x).reshape(-1, 6) > 0) @ 2 ** np.arange(5, -1, -1)


@pytest.mark.parametrize("name, h", CASES.values(), ids=CASES)
def test_probabilities_sum_to_one_and_draws_know_theirs(name, h):
    q = on_ising(name) if h is ISING else shaken(PRESSED[name](h, key=KEY))
    assert abs(float(jnp.sum(jnp.exp(log_probs(q, configurations(h))))) - 1) < 1e-12
    x, log_q = draws(q, 16)
    np.testing.assert_allclose(log_q, log_probs(q, x), atol=1e-10)
    assert len(np.unique(np.asarray(x).reshape(16, -1), axis=0)) > 1


@pytest.mark.parametrize("name", PRESSED)
def test_cyclic_networks_have_the_symmetry(name):
    h = models.potts(lattices.square(2, 2), 3, 0.6)
    q = shaken(PRESSED[name](h, cyclic=True, key=KEY))
    x = configurations(h)
    log_q = log_probs(q, x)
    assert abs(float(jnp.sum(jnp.exp(log_q))) - 1) < 1e-12
    turned = jax.vmap(lambda x: shifted(h, x, 1))(x)
    np.testing.assert_allclose(log_probs(q, turned), log_q, atol=1e-12)
    assert float(jnp.std(log_q)) > 0.1
    drawn, log_q = draws(q, 16)
    np.testing.assert_allclose(log_q, log_probs(q, drawn), atol=1e-10)


@pytest.mark.parametrize("name", PRESSED)
def test_a_site_sees_those_before_it_alone(name):
    """Derivatives of outputs by inputs: zero for the site itself and later ones, exactly."""
    q = on_ising(name)
    model = nnx.merge(q.network.graphdef, q.network.params)
    codes = jax.random.normal(KEY, (6, 1))
    size = np.abs(np.asarray(jax.jacobian(model)(codes))[..., 0]).max(axis=1)
    assert np.all(np.triu(size) == 0)
    seen = [np.flatnonzero(row) for row in size]
    if name == "frontier":
        assert all(np.array_equal(a, b) for a, b in zip(seen, frontier_of(ISING), strict=True))
    else:
        assert all(len(a) == i for i, a in enumerate(seen))


def test_the_draws_have_the_probabilities():
    """Frequencies of all 64 states against q, by chi-square."""
    q = on_ising("made")
    p = np.exp(np.asarray(log_probs(q, configurations(ISING))))
    n = 20_000
    x, _ = draws(q, n)
    observed = np.bincount(numbered(x), minlength=64)
    chi2 = np.sum((observed - n * p) ** 2 / (n * p))
    assert abs(chi2 - 63) < 4 * np.sqrt(2 * 63)


@pytest.mark.parametrize("name", ["ising 2 x 3 torus with field", "mixed levels", "three-spin"])
def test_energies_of_sites_add_up(name):
    h = MODELS[name]
    q, tables = networks.made(h, key=KEY), ending_tables(h)
    x, _ = draws(q, 8)
    for state in x:
        _, energies, label = q.site_terms(state)
        chosen = jnp.take_along_axis(energies, label[:, None], axis=1)
        constant = sum(float(p.table.sum()) for p in h.potentials() if not p.sites.array.shape[1])
        assert abs(float(chosen.sum()) + constant - float(h(state))) < 1e-12
        each = [energies_of_site(tables, label, jnp.int32(i), q.n_states) for i in range(h.n_sites)]
        np.testing.assert_allclose(jnp.stack(each), energies, atol=1e-12)
        np.testing.assert_allclose(energies, energies_of_sites(tables, label, q.n_states))


def test_the_frontier_is_all_that_a_site_can_know():
    """Exact conditionals by enumeration: equal wherever the frontier is equal, and only there."""
    h = models.ising(lattices.square(3, 3), 0.5, 0.1)
    x = np.asarray(configurations(h)).reshape(-1, 9)
    p = np.exp(-np.asarray(jax.vmap(h)(jnp.asarray(x.reshape(-1, 3, 3)))))
    for site, own in enumerate(frontier_of(h)):
        up = p * (x[:, site] > 0)
        before = {}
        for pattern in itertools.product((-1, 1), repeat=site):
            match = np.all(x[:, :site] == np.array(pattern), axis=1)
            given = tuple(np.array(pattern)[own])
            before.setdefault(given, []).append(up[match].sum() / p[match].sum())
        assert all(np.ptp(values) < 1e-12 for values in before.values())
        assert len({round(v[0], 9) for v in before.values()}) > 1 or site == 0
    assert [len(f) for f in frontier_of(h)] == [0, 1, 2, 3, 4, 5, 6, 5, 4]


def test_without_a_network_draws_follow_the_fields():
    """q_i is the heat bath of the sites before, here of a tree from its root, where it is exact."""
    h = models.ising(lattices.chain(6, periodic=False), 0.8)
    x, log_q = draws(networks.transformer(h, key=KEY), 8)
    exact = np.log(2) + 5 * np.log(2 * np.cosh(0.8))
    np.testing.assert_allclose(-jax.vmap(h)(x) - log_q, exact, rtol=1e-12)
    _, log_q = draws(networks.pixel_cnn(ISING, reach=2, informed=False, key=KEY), 8)
    np.testing.assert_allclose(log_q, -6 * np.log(2), rtol=1e-12)


def test_a_dead_end_is_a_draw_of_weight_zero():
    """The last site has no state that its neighbours allow: any is drawn, and p of it is 0."""
    space = MODELS["hard squares"].space
    wall = np.array([[np.inf, 0.0], [0.0, 0.0]])  # not both 0
    bond = np.array([[0.0, 0.0], [0.0, np.inf]])  # not both 1
    h = Hamiltonian(
        {"a": Potential(wall, [[0, 2]]), "b": Potential(bond, [[1, 2]])}, space=space, shape=(3,)
    )
    q = networks.made(h, key=KEY)
    x = configurations(h)
    log_q, energy = log_probs(q, x), jax.vmap(h)(x)
    assert abs(float(jnp.sum(jnp.exp(log_q))) - 1) < 1e-12
    weight = jnp.exp(-energy - log_q)
    z = float(jnp.sum(jnp.exp(log_q) * jnp.where(jnp.isfinite(log_q), weight, 0)))
    assert abs(np.log(z) - brute_force.log_z_of(h)) < 1e-12


@pytest.mark.parametrize("shifts", [False, True])
def test_a_mixture_is_normalised_and_symmetric(shifts):
    lattice = lattices.square(2, 3)
    base = shaken(networks.made(models.ising(lattice, 0.3), key=KEY))
    q = networks.mixture(base, permutations=lattice.translations(), shifts=shifts)
    x = configurations(base.h)
    log_q = log_probs(q, x)
    assert abs(float(jnp.sum(jnp.exp(log_q))) - 1) < 1e-12
    np.testing.assert_allclose(log_probs(q, jnp.roll(x, 1, axis=2)), log_q, atol=1e-12)
    flipped = log_probs(q, -x)
    assert bool(jnp.allclose(flipped, log_q, atol=1e-12)) == shifts
    n = 20_000
    drawn, own = draws(q, n)
    np.testing.assert_allclose(own[:16], log_probs(q, drawn[:16]), atol=1e-10)
    p = np.exp(np.asarray(log_q))
    chi2 = np.sum((np.bincount(numbered(drawn), minlength=64) - n * p) ** 2 / (n * p))
    assert abs(chi2 - 63) < 4 * np.sqrt(2 * 63)


def test_single_precision_agrees():
    with jax.enable_x64(False):
        h = models.ising(lattices.square(3, 4), 0.4)
        q = shaken(networks.frontier(h, key=KEY))
        x, log_q = draws(q, 16)
        assert log_q.dtype == jnp.float32
        np.testing.assert_allclose(log_q, log_probs(q, x), atol=1e-5)


def test_weights_are_shared_where_the_model_repeats():
    torus = networks.frontier(models.ising(lattices.square(4, 4), 0.4), widths=(8,), key=KEY)
    glass = models.ising(lattices.square(4, 4), np.linspace(0, 1, 32))
    assert (
        torus.network.n_parameters
        < networks.frontier(glass, widths=(8,), key=KEY).network.n_parameters
    )


@pytest.mark.parametrize(
    "make, error, match",
    [
        (
            lambda: networks.made(models.phi4(lattices.chain(4), r=1.0, u=1.0), key=KEY),
            SpaceError,
            "finite",
        ),
        (
            lambda: networks.made(MIXED, cyclic=True, key=KEY),
            SettingError,
            "alike",
        ),
        (lambda: networks.pixel_cnn(MODELS["rbm"], key=KEY), ShapeError, "two axes"),
        (lambda: networks.pixel_cnn(ISING, reach=4, key=KEY), SettingError, "too short"),
        (lambda: networks.transformer(ISING, width=6, key=KEY), SettingError, "heads"),
        (lambda: networks.frontier(ISING, widths=(0,), key=KEY), SettingError, "sizes"),
        (lambda: networks.made(ISING, key=KEY).log_prob(jnp.ones(6)), ShapeError, r"\(2, 3\)"),
        (
            lambda: networks.mixture(networks.made(ISING, key=KEY), permutations=[[1, 0]]),
            ShapeError,
            "2 sites",
        ),
        (
            lambda: networks.mixture(networks.made(MIXED, key=KEY), shifts=True),
            SettingError,
            "alike",
        ),
    ],
)
def test_refusals_are_named(make, error, match):
    with pytest.raises(error, match=match):
        make()
