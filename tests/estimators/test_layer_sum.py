"""Sums over a layer against enumeration, quadrature and determinants."""

import itertools

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special

from physdl import estimators, lattices, models
from physdl.errors import SettingError, StructureError, TooLargeError
from physdl.estimators import Enumeration, LayerSum, Status
from physdl.estimators import layer_sum as module
from physdl.estimators._bipartite import layout_of
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.networks import RBM
from physdl.spaces import BINARY, LINE, SPIN, clock, embedded, finite, levels, potts, product, spin

THREE = finite([-1.0, 0.3, 2.0])
UNITS = {"binary": BINARY, "spin": SPIN, "spin one": spin(1), "three": THREE, "one": levels(1)}
VISIBLE = {**UNITS, "potts": potts(3), "clock": clock(4)}


def machine(visible, hidden, n=3, m=4, seed=0, scale=0.7):
    rng = np.random.default_rng(seed)
    layer = (n, *visible.event_shape)
    parts = [scale * rng.normal(size=s) for s in ((*layer, m), layer, (m,))]
    return RBM(*parts, visible=visible, hidden=hidden)


def hard(kinds=(THREE, THREE)):
    """States of either layer are forbidden, and terms of every kind act on one site."""
    h = machine(*kinds, n=3, m=3, seed=2).hamiltonian
    q = h.space.at(0).n_states
    table = np.random.default_rng(1).normal(size=(2, q))
    table[0, 1] = table[1, 0] = np.inf
    terms = dict(h.terms)
    terms["hard"] = Potential(table, [[1], [5]])
    terms["square"] = Sites(0.4, [[2, 2], [0, 0]])
    terms["constant"] = Sites([0.3, -1.1], np.zeros((2, 0), int))
    terms["field"] = Stencil(0.2, [[[0]]])
    return Hamiltonian(terms, space=h.space, shape=h.shape)


def different_sites():
    kinds = [BINARY, THREE, SPIN, spin(1), BINARY, SPIN, THREE, spin(1)]
    rng = np.random.default_rng(3)
    pair = Dense(rng.normal(size=(5, 3)), blocks=(3, 0))
    terms = {"pair": pair, "site": Sites(rng.normal(size=8), np.arange(8)[:, None])}
    return Hamiltonian(terms, space=product(kinds), shape=(2, 4))


def potts_layers():
    rng = np.random.default_rng(4)
    terms = {
        "pair": Dense(rng.normal(size=(2, 3)), blocks=(0, 2)),
        "more": Sites(rng.normal(size=2), [[0, 7], [4, 14]]),
        "site": Sites(rng.normal(size=3), [[1], [8], [14]]),
    }
    return Hamiltonian(terms, space=potts(3), shape=(5,))


def listed():
    """All pairs of two layers as a table of sites."""
    pairs = list(itertools.product(range(3), range(3, 7)))
    coefficient = np.random.default_rng(5).normal(size=len(pairs))
    return Hamiltonian({"pair": Sites(coefficient, pairs)}, space=SPIN, shape=(7,))


OTHERS = {
    "forbidden states": hard,
    "forbidden states of two": lambda: hard((SPIN, BINARY)),
    "different sites": different_sites,
    "potts layers": potts_layers,
    "listed pairs": listed,
    "larger first": lambda: machine(BINARY, SPIN, n=6, m=3).hamiltonian,
    "cold": lambda: 60 * machine(SPIN, SPIN, n=4, m=5).hamiltonian,
}


@pytest.mark.parametrize("hidden", UNITS)
@pytest.mark.parametrize("visible", VISIBLE)
def test_machines_agree_with_brute_force(visible, hidden):
    rbm = machine(VISIBLE[visible], UNITS[hidden], n=3, m=3)
    out = LayerSum()(rbm)
    assert Status(int(out.status)) is Status.OK and float(out.stderr) == 0
    exact = brute_force.log_z_of(rbm.hamiltonian)
    assert float(out.log_z) == pytest.approx(exact, rel=1e-13, abs=1e-12)
    assert float(LayerSum()(rbm.hamiltonian).log_z) == float(out.log_z)


@pytest.mark.parametrize("name", OTHERS)
def test_other_layers_agree_with_brute_force(name):
    h = OTHERS[name]()
    exact = brute_force.log_z_of(h)
    assert float(LayerSum()(h).log_z) == pytest.approx(exact, rel=1e-13, abs=1e-12)
    logarithms = module._logarithms(h)
    assert float(logarithms.log_z) == pytest.approx(exact, rel=1e-13, abs=1e-12)


def visible_log_z(rbm):
    """log Z over all hidden states, with numpy: 0/1 hidden units, any number of visible ones."""
    w, a, b = (np.asarray(x) for x in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    labels = np.arange(2 ** w.shape[1])[:, None] >> np.arange(w.shape[1])
    h = (labels & 1).astype(float)
    return scipy.special.logsumexp(h @ b + np.logaddexp(0, a + h @ w.T).sum(axis=1))


@pytest.mark.parametrize(("n", "m", "scale"), [(70, 16, 0.3), (33, 15, 1.5), (9, 1, 1.0)])
def test_many_chunks_and_groups(n, m, scale):
    rbm = machine(BINARY, BINARY, n=n, m=m, scale=scale)
    assert float(LayerSum()(rbm).log_z) == pytest.approx(visible_log_z(rbm), rel=1e-13)


def test_cold_machines_take_logarithms():
    warm, cold = (machine(BINARY, BINARY, n=40, m=9, scale=s).hamiltonian for s in (0.5, 40.0))
    assert bool(module._products(warm)[1]) and not bool(module._products(cold)[1])
    rbm = RBM.of(cold)
    for log_z in (lambda h: LayerSum()(h).log_z, jax.jit(lambda h: LayerSum()(h).log_z)):
        assert float(log_z(cold)) == pytest.approx(visible_log_z(rbm), rel=1e-13)


@pytest.mark.parametrize("hidden", ["binary", "spin one"])
def test_a_gaussian_layer_by_quadrature(hidden):
    rbm = machine(LINE, UNITS[hidden], n=1, m=2)
    w, a, b = (np.asarray(x) for x in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    states = np.array(list(itertools.product(UNITS[hidden].array[:, 0], repeat=2)))

    def weight(v):
        return np.sum(np.exp(a[0] * v - v**2 / 2 + states @ (b + v * w[0])))

    exact, _ = scipy.integrate.quad(weight, -30, 30, epsabs=0, epsrel=1e-12)
    assert float(LayerSum()(rbm).log_z) == pytest.approx(np.log(exact), rel=1e-11)


@pytest.mark.parametrize("m", [3, 12])
def test_a_gaussian_layer_against_the_pairs_that_it_leaves(m):
    rbm = machine(LINE, spin(1) if m == 3 else SPIN, n=5, m=m, scale=0.3)
    exact = Enumeration()(rbm.hidden_hamiltonian).log_z
    assert float(LayerSum()(rbm).log_z) == pytest.approx(float(exact), rel=1e-13)
    turned = RBM(rbm.weights.T, rbm.hidden_bias, rbm.visible_bias, rbm.hidden, rbm.visible)
    assert float(LayerSum()(turned).log_z) == pytest.approx(float(exact), rel=1e-13)
    scaled = rbm.hamiltonian * 0.7  # other widths than one
    first, second = (jax.grad(lambda b, f=f: f(b))(0.7) for f in (_scaled(rbm), _by_pairs(rbm)))
    assert float(first) == pytest.approx(float(second), rel=1e-11)
    assert float(LayerSum()(scaled).log_z) == pytest.approx(float(_by_pairs(rbm)(0.7)), rel=1e-13)


def _scaled(rbm):
    return lambda beta: LayerSum()(beta * rbm.hamiltonian).log_z


def _by_pairs(rbm):
    """exp(-beta E) with v = u / beta^(1/2): a machine of unit width with other couplings."""

    def log_z(beta):
        root = jnp.sqrt(beta)
        parts = root * rbm.weights, root * rbm.visible_bias, beta * rbm.hidden_bias
        unit = RBM(*parts, visible=LINE, hidden=rbm.hidden)
        return Enumeration()(unit.hidden_hamiltonian).log_z - rbm.n_visible * jnp.log(beta) / 2

    return log_z


DIFFERENTIATED = {
    "binary": lambda: machine(BINARY, SPIN, n=3, m=4).hamiltonian,
    "potts": lambda: machine(potts(3), spin(1), n=2, m=2).hamiltonian,
    "hard": hard,
    "cold": lambda: 60 * machine(SPIN, SPIN, n=3, m=3).hamiltonian,
}


def along(estimator, h):
    """log Z along a direction in the space of couplings."""
    leaves, structure = jax.tree.flatten(h)
    rng = np.random.default_rng(0)
    steps = [jnp.where(jnp.isfinite(x), rng.normal(size=x.shape), 0.0) for x in leaves]

    def log_z(t):
        moved = [x + t * step for x, step in zip(leaves, steps, strict=True)]
        return estimator(jax.tree.unflatten(structure, moved)).log_z

    return log_z


@pytest.mark.parametrize("name", DIFFERENTIATED)
def test_derivatives_to_second_order(name):
    h = DIFFERENTIATED[name]()
    gradients = [jax.grad(lambda h, e=e: e(h).log_z)(h) for e in (LayerSum(), Enumeration())]
    for found, exact in zip(*map(jax.tree.leaves, gradients), strict=True):
        np.testing.assert_allclose(found, exact, atol=1e-11)
    mine, other = (along(e, h) for e in (LayerSum(), Enumeration()))
    zero = jnp.zeros(())
    second = jax.grad(jax.grad(other))(zero)
    size = 1e-10 * max(1.0, float(abs(second)))
    ways = [jax.grad(jax.grad(mine))]
    if name == "binary":
        ways += [jax.jacfwd(jax.grad(mine)), jax.jacfwd(jax.jacfwd(mine))]
    for way in ways:
        assert float(way(zero)) == pytest.approx(float(second), abs=size)


def test_derivatives_over_many_chunks():
    rbm = machine(SPIN, BINARY, n=40, m=13, scale=0.4)
    found = jax.jit(jax.grad(lambda r: LayerSum()(r).log_z))(rbm)
    w = np.asarray(rbm.weights)
    h = ((np.arange(2**13)[:, None] >> np.arange(13)) & 1).astype(float)
    fields = np.asarray(rbm.visible_bias) + h @ w.T
    p = scipy.special.softmax(
        h @ np.asarray(rbm.hidden_bias) + np.logaddexp(fields, -fields).sum(axis=1)
    )
    np.testing.assert_allclose(found.weights, (p[:, None] * np.tanh(fields)).T @ h, atol=1e-12)
    np.testing.assert_allclose(found.visible_bias, p @ np.tanh(fields), atol=1e-12)
    np.testing.assert_allclose(found.hidden_bias, p @ h, atol=1e-12)


def test_an_empty_ensemble_is_zero_and_says_so():
    h = machine(BINARY, BINARY, n=2, m=3).hamiltonian
    for site in (0, 4):
        no = Potential(np.full((1, 2), np.inf), [[site]])
        out = LayerSum()(Hamiltonian({**h.terms, "no": no}, space=h.space, shape=h.shape))
        assert float(out.log_z) == -np.inf
        assert Status(int(out.status)) is Status.ZERO


def test_bad_values_are_a_status():
    h = machine(BINARY, BINARY).hamiltonian
    assert Status(int(LayerSum()(jnp.nan * h).status)) is Status.NONFINITE
    broad = machine(LINE, BINARY).hamiltonian
    flat = Hamiltonian(
        {**broad.terms, "visible_square": Sites(-0.1, np.arange(3)[:, None].repeat(2, 1))},
        space=broad.space,
        shape=broad.shape,
    )
    out = LayerSum()(flat)
    assert float(out.log_z) == np.inf and Status(int(out.status)) is Status.DIVERGENT


def test_under_jit_and_vmap():
    a, b = machine(BINARY, SPIN, seed=1), machine(BINARY, SPIN, seed=2, scale=200.0)
    both = jax.tree.map(lambda x, y: jnp.stack([x, y]), a, b)
    found = jax.jit(jax.vmap(lambda r: LayerSum()(r).log_z))(both)
    np.testing.assert_allclose(found, [LayerSum()(r).log_z for r in (a, b)], rtol=1e-13)


def test_single_precision():
    wide = machine(potts(3), BINARY, n=20, m=11, scale=0.5).hamiltonian
    narrow = jax.tree.map(lambda x: x.astype(jnp.float32), wide)
    out = LayerSum()(narrow)
    assert out.log_z.dtype == jnp.float32
    assert float(out.log_z) == pytest.approx(float(LayerSum()(wide).log_z), rel=1e-6)


def test_the_hamiltonian_may_be_what_auto_chooses_for():
    """Two layers by their sum; others, and small ones, as before."""
    rbm = machine(BINARY, BINARY, n=30, m=6)
    method, reason = estimators.Auto().choose(rbm.hamiltonian)
    assert isinstance(method, LayerSum) and reason == "two layers, one of 2^6 states"
    gaussian = machine(LINE, BINARY, n=4, m=5)
    assert isinstance(estimators.Auto().choose(gaussian.hamiltonian)[0], LayerSum)
    small = machine(BINARY, BINARY, n=3, m=3).hamiltonian
    assert isinstance(estimators.Auto().choose(small)[0], Enumeration)
    exact = Enumeration()(gaussian.hidden_hamiltonian).log_z
    found = estimators.Auto()(gaussian.hamiltonian).log_z
    assert float(found) == pytest.approx(float(exact), rel=1e-13)


def chain_of_layers():
    terms = {n: Dense(np.ones((2, 2)), blocks=b) for n, b in (("a", (0, 2)), ("b", (2, 4)))}
    return Hamiltonian(terms, space=SPIN, shape=(6,))


REFUSED = {
    "a chain": lambda: models.ising(lattices.chain(6), 0.5),
    "all pairs": lambda: models.sherrington_kirkpatrick(6),
    "three layers": chain_of_layers,
    "no couplings": lambda: models.ising(lattices.chain(4), 0.0, 1.0) * 0.0,
    "a triple": lambda: Hamiltonian({"a": Sites(1.0, [[0, 1, 2]])}, space=SPIN, shape=(3,)),
    "few pairs": lambda: Hamiltonian(
        {"a": Sites(1.0, [[0, 10], [5, 11]])}, space=SPIN, shape=(20,)
    ),
    "phi^4": lambda: Hamiltonian(
        {"a": Dense(np.ones((1, 1)), blocks=(0, 1)), "b": Sites(1.0, [[0, 0, 0, 0]])},
        space=product([LINE, SPIN]),
        shape=(2,),
    ),
    "a layer half on the line": lambda: Hamiltonian(
        {"a": Dense(np.ones((2, 1)), blocks=(0, 2))}, space=product([LINE, SPIN, SPIN]), shape=(3,)
    ),
    "the sphere": lambda: models.heisenberg(lattices.bipartite(2, 2), 0.3),
    "many states": lambda: Hamiltonian(
        {"a": Dense(np.ones((1, 1)), blocks=(0, 1))}, space=levels(65), shape=(2,)
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_structures_are_refused(name):
    h = REFUSED[name]()
    with pytest.raises(StructureError, match="couplings between two layers alone"):
        LayerSum()(h)


def test_refusals():
    with pytest.raises(StructureError, match="use the estimator Gaussian"):
        LayerSum()(machine(LINE, LINE))
    with pytest.raises(TooLargeError, match=r"2\^25\.0 states.*AIS"):
        LayerSum()(machine(BINARY, BINARY, n=30, m=25))
    with pytest.raises(SettingError, match="got 0"):
        LayerSum(max_states=0)


def test_a_bipartite_graph_in_order_is_two_layers():
    h = models.ising(lattices.bipartite(3, 5), 0.2, 0.1)
    assert layout_of(h) == ((0, 3), (3, 5))
    assert float(LayerSum()(h).log_z) == pytest.approx(brute_force.log_z_of(h), rel=1e-13)


def test_hidden_units_beside_vectors_are_embedded():
    space = machine(potts(3), BINARY).hamiltonian.space
    assert space.at(3) == embedded(BINARY, 3)
    assert space.event_shape == (3,) and space.n_components == 3
