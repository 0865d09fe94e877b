import itertools

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import integrate, stats

from physdl import lattices, models
from physdl.estimators import Enumeration, LayerSum
from physdl.estimators import ais as module
from physdl.estimators._bipartite import layout_of
from physdl.estimators._start import Start
from physdl.estimators._two_layers import TwoLayers, two_layers
from physdl.estimators.ais import AIS, ReverseAIS
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.sampling import HeatBath
from physdl.sampling._path import Path
from physdl.spaces import BINARY, LINE, SPIN, finite, potts, product, spin

KEY = jax.random.key(0)
THREE = finite([-1.0, 0.3, 2.0])


def machine(visible, hidden, n=(3, 4), seed=0, scale=0.7):
    rng = np.random.default_rng(seed)
    unit = visible.event_shape
    return models.rbm(
        scale * rng.normal(size=(n[0], *unit, n[1])),
        scale * rng.normal(size=(n[0], *unit)),
        scale * rng.normal(size=n[1]),
        visible=visible,
        hidden=hidden,
    )


def with_tables(h, seed=1, *, constant=True):
    """Further terms of one site: tables, powers, a constant, a field on the whole box."""
    rng = np.random.default_rng(seed)
    terms = dict(h.terms)
    q = h.space.at(1).n_states
    terms["table"] = Potential(rng.normal(size=(2, q)), [[1], [0]])
    terms["square"] = Sites(0.4, [[2, 2], [0, 0]])
    if constant:
        terms["constant"] = Sites([0.3, -1.1], np.zeros((2, 0), int))
    terms["field"] = Stencil(0.2, [[[0]]])
    terms["rows"] = Sites([0.5], [[[0], [2]]])
    return Hamiltonian(terms, space=h.space, shape=h.shape)


def second_coupling(h, n=(3, 4)):
    terms = dict(h.terms)
    terms["more"] = Dense(np.random.default_rng(5).normal(size=n[::-1]), blocks=(n[0], 0))
    return Hamiltonian(terms, space=h.space, shape=h.shape)


def vectors():
    """Potts layers, whose states have three components."""
    rng = np.random.default_rng(3)
    terms = {
        "coupling": Dense(rng.normal(size=(2, 3)), blocks=(0, 2)),
        "field": Sites(rng.normal(size=4), [[0], [4], [8], [11]]),
    }
    return Hamiltonian(terms, space=potts(3), shape=(5,))


def forbidding():
    """A state of either layer is forbidden."""
    h = machine(THREE, THREE)
    out = with_tables(h, constant=False)
    table = Potential(np.array([[0.2, np.inf, 0.0], [np.inf, 0.1, 0.3]]), [[1], [5]])
    return Hamiltonian({**out.terms, "hard": table}, space=h.space, shape=h.shape)


def alternating(*kinds):
    """Sites of a layer differ, and more than eight are summed."""
    rng = np.random.default_rng(3)
    n = len(kinds)
    terms = {
        "coupling": Dense(rng.normal(size=(2, n - 2)), blocks=(0, 2)),
        "field": Sites(rng.normal(size=n), np.arange(n)[:, None]),
    }
    return Hamiltonian(terms, space=product(kinds), shape=(n,))


MACHINES = {
    "binary": lambda: machine(BINARY, BINARY),
    "spin": lambda: machine(SPIN, SPIN),
    "three states": lambda: machine(THREE, THREE),
    "larger first": lambda: machine(SPIN, SPIN, n=(4, 3)),
    "binary and spin": lambda: machine(BINARY, SPIN),
    "spin one and binary": lambda: with_tables(machine(spin(1), BINARY)),
    "tables": lambda: with_tables(machine(SPIN, SPIN)),
    "two couplings": lambda: second_coupling(machine(SPIN, BINARY)),
    "potts": vectors,
    "potts machine": lambda: machine(potts(3), BINARY, n=(2, 3)),
    "potts machine, larger first": lambda: machine(potts(3), spin(1), n=(3, 2)),
    "listed pairs": lambda: models.ising(lattices.bipartite(3, 4), 0.4, 0.2),
    "forbidden states": forbidding,
    "many sites": lambda: machine(BINARY, SPIN, n=(2, 17)),
    "many different sites": lambda: alternating(*[BINARY, SPIN, SPIN] * 5),
    "many sites, missing states": lambda: alternating(*[BINARY, THREE, SPIN, spin(1)] * 3),
}


def biases(h):
    """The terms of one site alone, with other coefficients."""
    couplings = ("weight", "coupling", "bond", "more", "hard")
    terms = {k: t for k, t in h.terms.items() if k not in couplings}
    rest = Hamiltonian(terms, space=h.space, shape=h.shape)
    return rest * 0.6


REFERENCES = {"none": lambda h: None, "biases": biases, "couplings": lambda h: h * 0.3}


def start_of(h, reference=None):
    return Start(Path(h, reference), HeatBath(), jnp.zeros(()), None, None)


def walker_of(h, reference=None, n_sweeps=1):
    start = start_of(h, reference)
    walker = two_layers(start, n_sweeps)
    assert isinstance(walker, TwoLayers)
    return walker, start.path


def configurations(h):
    """All of them, [first layer, second layer, *state], and the size of the first layer."""
    n = layout_of(h)[0][1]
    tables = [np.array(h.space.at(i).points) for i in range(h.n_sites)]
    layers = [
        np.array([np.stack(s) for s in itertools.product(*part)])
        for part in (tables[:n], tables[n:])
    ]
    a, b = (len(layer) for layer in layers)
    first = np.broadcast_to(layers[0][:, None], (a, b, *layers[0].shape[1:]))
    second = np.broadcast_to(layers[1][None], (a, b, *layers[1].shape[1:]))
    return np.concatenate([first, second], axis=2).reshape(a, b, *h.state_shape), n


def log_marginal(path, h, b, states, axis):
    """log sum exp(-H_b) over one layer, in numpy; what only the end forbids counts at b = 0."""
    flat = jnp.asarray(states.reshape(-1, *h.state_shape))
    end = np.asarray(jax.jit(jax.vmap(h))(flat))
    start = np.zeros_like(end)
    if path.reference is not None:
        start = np.asarray(jax.jit(jax.vmap(path.reference))(flat))
    energy = start if b == 0 else (1 - b) * np.where(np.isinf(start), 0, start) + b * end
    weight = np.exp(-energy.reshape(states.shape[:2])).sum(axis=axis)
    with np.errstate(divide="ignore"):
        return np.log(weight)


@pytest.mark.parametrize(
    "reference",
    [pytest.param(r, marks=pytest.mark.slow) if r == "couplings" else r for r in REFERENCES],
)
@pytest.mark.parametrize("name", MACHINES)
def test_factors_are_those_of_the_marginal(name, reference):
    h = MACHINES[name]()
    walker, path = walker_of(h, REFERENCES[reference](h))
    states, n = configurations(h)
    summed = 1 if h.n_sites - n >= n else 0
    assert walker.summed.block[1] >= walker.kept.block[1]
    chosen = np.moveaxis(states, summed, 0)[-1]  # one state of the summed layer, no matter which
    carried = jax.vmap(walker.state)(jnp.asarray(chosen))
    for b, to in ((0.0, 0.2), (0.3, 0.35), (0.9, 1.0), (1.0, 0.4)):
        factor = jax.vmap(walker.log_factor, in_axes=(0, None, None))
        found = factor(carried, jnp.asarray(b), jnp.asarray(to))
        old = log_marginal(path, h, b, states, summed)
        new = log_marginal(path, h, to, states, summed)
        allowed = np.isfinite(new)
        assert np.all(np.isneginf(np.asarray(found)[~allowed]))
        np.testing.assert_allclose(found[allowed], new[allowed] - old[allowed], atol=1e-12)
    assert (name == "forbidden states") == (not allowed.all())


@pytest.mark.slow
@pytest.mark.parametrize("reference", ["none", "couplings"])
@pytest.mark.parametrize("name", ["binary", "larger first", "potts", "forbidden states"])
def test_moves_keep_the_distribution(name, reference):
    """Walkers drawn exactly at b stay distributed so, and configurations of them are complete."""
    h, n_walkers, b = MACHINES[name](), 20000, jnp.asarray(0.7)
    walker, path = walker_of(h, REFERENCES[reference](h), n_sweeps=2)
    states, _ = configurations(h)
    flat = states.reshape(-1, *h.state_shape)
    energy = np.asarray(jax.jit(jax.vmap(path(b)))(jnp.asarray(flat)))
    p = np.exp(-energy) / np.exp(-energy).sum()
    drawn = np.random.default_rng(7).choice(len(p), n_walkers, p=p)

    @jax.jit
    def moved(x, key):
        move_key, end_key = jax.random.split(key)
        return walker.configuration(walker.move(walker.state(x), b, key=move_key), b, key=end_key)

    after = jax.vmap(moved)(jnp.asarray(flat[drawn]), jax.random.split(KEY, n_walkers))
    where = {row.tobytes(): k for k, row in enumerate(np.ascontiguousarray(flat))}
    seen = np.bincount([where[row.tobytes()] for row in np.asarray(after)], minlength=len(p))
    order = np.argsort(p)
    share = np.cumsum(p[order])  # bins of 20 expected walkers or more
    bins = np.minimum((share * n_walkers / 40).astype(int), n_walkers // 40 - 1)
    expected, found = np.bincount(bins, p[order] * n_walkers), np.bincount(bins, seen[order])
    keep = expected > 15
    chi2 = np.sum((found[keep] - expected[keep]) ** 2 / expected[keep])
    assert stats.chi2.sf(chi2, keep.sum() - 1) > 1e-4
    assert seen[p == 0].sum() == 0


@pytest.mark.parametrize("name", ["spin", "spin one and binary", "potts", "forbidden states"])
@pytest.mark.parametrize("reference", REFERENCES)
def test_a_draw_given_the_kept_layer(name, reference):
    """The moves of one site each have the exact conditional probabilities."""
    h, b = MACHINES[name](), jnp.asarray(0.6)
    walker, path = walker_of(h, REFERENCES[reference](h))
    states, _ = configurations(h)
    summed = 1 if walker.summed.block[0] else 0
    x = np.moveaxis(states, summed, 0)[:, 1]  # every state of the summed layer, one of the kept
    energy = np.asarray(jax.jit(jax.vmap(path(b)))(jnp.asarray(x)))
    p = np.exp(energy.min() - energy)
    p /= p.sum()
    state = walker.state(jnp.asarray(x[0]))
    fields = walker._fields(state, b)
    own = walker.summed.at(b, with_all=False)
    weights = np.exp(-np.stack(walker.summed.energies(own, fields)))
    site = weights / weights.sum(axis=0)
    q, m = site.shape
    exact = [
        np.prod([site[k, j] for j, k in enumerate(labels)])
        for labels in itertools.product(range(q), repeat=m)
        if not any(walker.summed.missing[k, j] for j, k in enumerate(labels))
    ]
    np.testing.assert_allclose(exact, p, atol=1e-12)


SHAPES = {"binary": (BINARY, BINARY), "spin": (SPIN, SPIN), "mixed": (spin(1), BINARY)}


def within(value, stderr, exact):
    return abs(value - exact) < 4 * stderr < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("name", SHAPES)
def test_log_z_of_random_machines_in_both_directions(name):
    h = machine(*SHAPES[name], n=(6, 5) if name == "mixed" else (8, 6), seed=4)
    exact = Enumeration()(h).log_z
    out = ReverseAIS(AIS(n_chains=512, betas=jnp.linspace(0, 1, 61)))(h, key=KEY)
    assert within(out.log_z, out.stderr, exact)
    assert within(out.info["log_z_up"], 2 * out.stderr, exact)
    assert within(out.info["log_z_down"], 2 * out.stderr, exact)
    assert out.lower < exact < out.upper


@pytest.mark.slow
def test_log_z_from_biases():
    h = machine(BINARY, SPIN, n=(5, 6), seed=4)
    out = AIS(n_chains=512, betas=jnp.linspace(0, 1, 41), reference=biases(h))(h, key=KEY)
    assert within(out.log_z, out.stderr, Enumeration()(h).log_z)


@pytest.mark.slow
def test_log_z_where_states_are_forbidden():
    h = forbidding()
    out = ReverseAIS(AIS(n_chains=2048, betas=jnp.linspace(0, 1, 41)))(h, key=KEY)
    exact = brute_force.log_z_of(h)
    assert within(out.log_z, out.stderr, exact)
    assert within(out.info["log_z_up"], 2 * out.stderr, exact)
    assert within(out.info["log_z_down"], 2 * out.stderr, exact)


@pytest.mark.slow
def test_errors_are_calibrated():
    h = machine(SPIN, SPIN, n=(6, 5), seed=4)
    exact = Enumeration()(h).log_z
    settings = AIS(n_chains=200, betas=jnp.linspace(0, 1, 21))

    def score(key):
        out = settings(h, key=key)
        return (out.log_z - exact) / out.stderr

    z = np.asarray(jax.jit(lambda keys: jax.lax.map(score, keys))(jax.random.split(KEY, 300)))
    assert abs(z.mean()) < 0.2
    assert 0.85 < z.std() < 1.2


@pytest.mark.slow
def test_weights_scatter_less_than_those_of_single_sites(monkeypatch):
    h = machine(SPIN, SPIN, n=(8, 6), seed=4)
    settings = AIS(n_chains=2000, betas=jnp.linspace(0, 1, 31))
    summed = settings(h, key=KEY).info["log_weight_variance"]
    monkeypatch.setattr(module, "two_layers", lambda start, n_sweeps: None)
    single = settings(h, key=KEY).info["log_weight_variance"]
    assert summed < 0.8 * single


@pytest.mark.slow
def test_the_gradient_is_that_of_enumeration():
    h = machine(BINARY, BINARY, n=(5, 4), seed=2)
    exact = jax.grad(lambda h: Enumeration()(h).log_z)(h)
    settings = AIS(n_chains=4000, betas=jnp.linspace(0, 1, 41))
    found = jax.grad(lambda h: settings(h, key=KEY).log_z)(h)
    for a, b in zip(jax.tree.leaves(exact), jax.tree.leaves(found), strict=True):
        np.testing.assert_allclose(a, b, atol=4 * 0.5 / np.sqrt(2500))


@pytest.mark.slow
def test_under_jit_and_vmap():
    h = machine(SPIN, BINARY, n=(3, 4))
    settings = AIS(n_chains=64, betas=jnp.linspace(0, 1, 11))
    run = jax.jit(lambda h, key: settings(h, key=key).log_z)
    keys = jax.random.split(KEY, 2)
    plain = [run(h, keys[0]), run(h * 0.5, keys[1])]
    np.testing.assert_allclose(plain[0], settings(h, key=keys[0]).log_z, rtol=1e-12)
    batch = jax.tree.map(lambda leaf: jnp.stack([leaf, 0.5 * leaf]), h)
    np.testing.assert_allclose(jax.vmap(run)(batch, keys), plain, rtol=1e-12)


def test_single_precision():
    exact = machine(SPIN, THREE, n=(4, 5))
    exact = with_tables(exact, constant=False)
    h = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), exact)
    walker, _ = walker_of(h, biases(h))
    assert {leaf.dtype for leaf in jax.tree.leaves(walker)} == {jnp.dtype("float32")}
    out = AIS(n_chains=500, betas=jnp.linspace(0, 1, 41))(h, key=KEY)
    assert out.log_z.dtype == jnp.float32
    assert within(float(out.log_z), float(out.stderr), brute_force.log_z_of(exact))


def inside(h):
    return Hamiltonian({**h.terms, "bond": Sites(0.1, [[0, 1]])}, space=h.space, shape=h.shape)


OTHERS = {
    "chain": lambda: models.ising(lattices.chain(6), 0.5),
    "all pairs": lambda: Hamiltonian({"pair": Dense(np.eye(4))}, space=SPIN, shape=(4,)),
    "inside a layer": lambda: inside(machine(SPIN, SPIN)),
    "a pair table": lambda: Hamiltonian(
        {**machine(SPIN, SPIN).terms, "pair": Potential(np.zeros((2, 2)), [[0, 3]])},
        space=SPIN,
        shape=(7,),
    ),
    "three layers": lambda: Hamiltonian(
        {"a": Dense(np.ones((2, 2)), blocks=(0, 2)), "b": Dense(np.ones((2, 2)), blocks=(2, 4))},
        space=SPIN,
        shape=(6,),
    ),
    "further sites": lambda: Hamiltonian(
        {"a": Dense(np.ones((2, 2)), blocks=(0, 2))}, space=SPIN, shape=(5,)
    ),
    "no couplings": lambda: Hamiltonian({"a": Sites(1.0, [[0], [1]])}, space=SPIN, shape=(2,)),
    "links": lambda: Hamiltonian({"a": Stencil(1.0, [[[0], [1]]])}, space=SPIN, shape=(4,)),
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_structures_are_left_to_single_sites(name):
    h = OTHERS[name]()
    assert two_layers(start_of(h), 1) is None


def normal(h):
    """A product of normal distributions on the sites of the line, of other widths than h has."""
    site = [i for i in range(h.n_sites) if h.space.at(i) == LINE]
    own = np.array(site)[:, None]
    terms = {
        "square": Sites(0.8 + 0.1 * np.arange(len(site)), np.repeat(own, 2, axis=1)),
        "linear": Sites(0.3, own),
    }
    return Hamiltonian(terms, space=h.space, shape=h.shape)


def log_marginal_of_line(h, x, line):
    """-log of the integral over the sites of the line, others as in x, by quadrature each."""
    total = -float(h(x.at[line].set(0.0)))
    for i in line:
        energy = lambda v, i=i: float(h(x.at[line].set(0.0).at[i].set(v)))
        rest = energy(0.0)
        weight = lambda v, energy=energy, rest=rest: np.exp(rest - energy(v))
        total += np.log(integrate.quad(weight, -12, 12, epsabs=0, epsrel=1e-10, limit=200)[0])
    return total


@pytest.mark.parametrize(
    ("visible", "hidden", "n"), [(LINE, SPIN, (3, 2)), (LINE, SPIN, (2, 3)), (SPIN, LINE, (2, 3))]
)
def test_factors_of_a_layer_on_the_line(visible, hidden, n):
    h = machine(visible, hidden, n=n, scale=0.4)
    reference = normal(h)
    walker, path = walker_of(h, reference)
    line = np.array([i for i in range(h.n_sites) if h.space.at(i) == LINE])
    integrated = len(line) > h.n_sites - len(line)
    rng = np.random.default_rng(3)
    x = jnp.asarray(np.where(np.isin(np.arange(5), line), rng.normal(size=5), 1.0))
    for b, to in ((0.0, 0.2), (0.9, 1.0), (1.0, 0.4)):
        found = walker.log_factor(walker.state(x), jnp.asarray(b), jnp.asarray(to))
        ends = []
        for place in (b, to):
            here = path(jnp.asarray(place))
            energy = jax.jit(lambda x, here=here: here(x))
            if integrated:
                ends.append(log_marginal_of_line(energy, x, line))
                continue
            spins, values = (
                np.setdiff1d(np.arange(5), line),
                itertools.product([-1.0, 1.0], repeat=3),
            )
            states = [x.at[spins].set(jnp.array(s)) for s in values]
            ends.append(np.log(sum(np.exp(-float(energy(s))) for s in states)))
        assert float(found) == pytest.approx(ends[1] - ends[0], abs=1e-8)


@pytest.mark.slow
def test_draws_of_a_layer_on_the_line():
    h = machine(LINE, SPIN, n=(3, 2), scale=0.4)
    walker, path = walker_of(h, normal(h))
    b, x = jnp.asarray(0.6), jnp.array([0.0, 0.0, 0.0, 1.0, -1.0])
    draw = jax.vmap(lambda key: walker.configuration(walker.state(x), b, key=key))
    drawn = np.asarray(draw(jax.random.split(KEY, 5000)))
    energy = path(b)
    for i in range(3):
        low, middle, high = (float(energy(x.at[i].set(v))) for v in (-1.0, 0.0, 1.0))
        square, linear = (high + low) / 2 - middle, (high - low) / 2
        expected = -linear / (2 * square), (2 * square) ** -0.5
        assert stats.kstest(drawn[:, i], "norm", expected).pvalue > 1e-3


KINDS = {
    "gaussian": lambda: machine(LINE, BINARY, n=(8, 6), scale=0.5),
    "gaussian, fewer": lambda: machine(LINE, SPIN, n=(4, 6), scale=0.3),
    "gaussian hidden": lambda: machine(SPIN, LINE, n=(8, 6), scale=0.25),
    "potts": lambda: machine(potts(3), BINARY, n=(6, 8)),
    "potts and spin one": lambda: machine(potts(4), spin(1), n=(8, 5), scale=0.5),
    "binary": lambda: machine(BINARY, BINARY, n=(8, 6)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_both_directions_enclose_log_z(name):
    """Over 20 keys: the way up is below in the mean, the way down above, errors are as stated."""
    h = KINDS[name]()
    exact = float(LayerSum()(h).log_z)
    assert isinstance(two_layers(start_of(h, normal(h) if "gauss" in name else None), 1), TwoLayers)
    settings = ReverseAIS(AIS(n_chains=64, n_temperatures=40))

    @jax.jit
    def run(key):
        out = settings(h, key=key)
        return jnp.stack([out.info["log_z_up"], out.info["log_z_down"], out.log_z, out.stderr])

    up, down, log_z, stderr = np.array([run(k) for k in jax.random.split(jax.random.key(1), 20)]).T
    scatter = lambda x: x.std(ddof=1) / np.sqrt(len(x))
    assert (up - exact).mean() < 3 * scatter(up)
    assert (down - exact).mean() > -3 * scatter(down)
    z = (log_z - exact) / stderr
    assert abs(z.mean()) < 3 / np.sqrt(20) and 0.5 < z.std() < 1.6


def test_a_layer_half_on_the_line_is_left_to_single_sites():
    terms = {"a": Dense(np.ones((2, 1)), blocks=(0, 2))}
    h = Hamiltonian(terms, space=product([LINE, SPIN, SPIN]), shape=(3,))
    assert two_layers(start_of(h), 1) is None


def test_a_reference_of_another_structure_is_left_to_single_sites():
    h = machine(SPIN, SPIN)
    other = Hamiltonian({"a": Dense(np.ones((2, 5)), blocks=(0, 2))}, space=SPIN, shape=(7,))
    for reference in (inside(h), other):
        assert two_layers(start_of(h, reference), 1) is None


def test_a_kernel_is_obeyed(monkeypatch):
    def fail(start, n_sweeps):
        raise AssertionError("the kernel was given")

    monkeypatch.setattr(module, "two_layers", fail)
    h = machine(SPIN, SPIN)
    out = AIS(n_chains=64, betas=jnp.linspace(0, 1, 6), kernel=HeatBath())(h, key=KEY)
    assert np.isfinite(out.log_z)
    with pytest.raises(AssertionError, match="kernel"):
        AIS(n_chains=64, betas=jnp.linspace(0, 1, 6))(h, key=KEY)


def test_a_product_of_equal_counts_has_no_missing_states():
    walker, _ = walker_of(machine(BINARY, SPIN))
    assert not walker.kept.hard and not walker.summed.hard
    mixed = product([BINARY, spin(1), BINARY, SPIN, spin(1)])
    h = Hamiltonian({"coupling": Dense(np.ones((2, 3)), blocks=(0, 2))}, space=mixed, shape=(5,))
    walker, _ = walker_of(h)
    assert walker.kept.hard and walker.summed.hard
    out = AIS(n_chains=1000, betas=jnp.linspace(0, 1, 31))(h, key=KEY)
    assert within(out.log_z, out.stderr, brute_force.log_z_of(h))
