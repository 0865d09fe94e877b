"""Perfect sampling: the law of the draws against enumeration, log Z to rounding."""

from unittest import mock

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats
from transition import Script, boltzmann

from physdl import lattices, models
from physdl.errors import SettingError, SpaceError, StructureError, TooLargeError
from physdl.estimators import Enumeration, TransferMatrix
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.reference import kaufman_energy
from physdl.sampling import perfect
from physdl.sampling._elimination import best_elimination
from physdl.sampling._local import sweep
from physdl.sampling.perfect import coupling_from_the_past, exact_sample
from physdl.spaces import BINARY, SPIN, Product, levels, spin

pytestmark = pytest.mark.slow


def normal(*shape, scale=1.0, seed=5):
    return jnp.asarray(scale * np.random.default_rng([seed, *shape]).normal(size=shape))


def glass(rows=2, cols=4):
    lattice = lattices.square(rows, cols, periodic=False)
    return models.ising(lattice, normal(lattice.n_bonds), normal(rows * cols, seed=6))


def hard_squares(rows=3, cols=3):
    lattice = lattices.square(rows, cols, periodic=False)
    hard = Potential([[0.0, 0.0], [0.0, jnp.inf]], lattice.bonds)
    gas = Sites(normal(rows * cols), np.arange(rows * cols)[:, None])
    return Hamiltonian({"hard": hard, "gas": gas}, space=BINARY, shape=(rows, cols))


def tables_of_mixed_sites():
    space = Product((BINARY, spin(1), SPIN, levels(1), levels(4)))
    terms = {
        "table": Potential(normal(2, 3, 4), [[0, 1, 4]]),
        "unordered": Potential(normal(4, 2), [[4, 2]]),
        "pair": Sites(normal(2), [[1, 2], [3, 4]]),
        "constant": Sites(0.7, np.zeros((1, 0), int)),
    }
    return Hamiltonian(terms, space=space, shape=(5,))


def torus_with_triples():
    bond = Stencil(normal(2, 2, 4, scale=0.6), [[[0, 0], [0, 1]], [[0, 0], [1, 0]]])
    triple = Stencil(0.3, [[[0, 0], [0, 1], [1, 2]]])
    return Hamiltonian({"bond": bond, "triple": triple}, space=SPIN, shape=(2, 4))


MODELS = {
    "glass": glass,
    "potts": lambda: models.potts(lattices.chain(6), 3, normal(6), normal(6, 3)),
    "clock": lambda: models.clock(lattices.square(2, 2, periodic=False), 5, 0.8, 0.2),
    "blume_capel": lambda: models.blume_capel(lattices.square(2, 3), 0.5, 0.4, 0.1),
    "hard_squares": hard_squares,
    "rbm": lambda: models.rbm(normal(5, 3), normal(5), normal(3)),
    "dense": lambda: Hamiltonian({"pair": Dense(normal(7, 7))}, space=SPIN, shape=(7,)),
    "mixed": tables_of_mixed_sites,
    "torus": torus_with_triples,
    "apart": lambda: models.ising(lattices.chain(5, periodic=False), [1.0, 0, 0.5, 0]),
    "free": lambda: Hamiltonian({"one": Sites(0.5, [[1]])}, space=SPIN, shape=(4,)),
}


def all_states(h):
    points = [h.space.at(i).array for i in range(h.n_sites)]
    index = np.stack(np.meshgrid(*[range(len(p)) for p in points], indexing="ij"), axis=-1)
    index = index.reshape(-1, h.n_sites)
    states = np.stack([p[index[:, i]] for i, p in enumerate(points)], axis=1)
    return states.reshape(len(states), *h.state_shape)


def chi_square(h, draws):
    """The p-value of draws [n, *state] against the exact distribution, rare states pooled."""
    states = all_states(h)
    expected = len(draws) * boltzmann(h, states)
    number = {s.tobytes(): i for i, s in enumerate(np.round(states, 9) + 0.0)}
    found = [number[s.tobytes()] for s in np.round(np.asarray(draws, float), 9) + 0.0]
    counts = np.bincount(found, minlength=len(states))
    assert np.all(counts[expected == 0] == 0)
    rare = expected < 5
    counts, expected = (np.append(v[~rare], v[rare].sum()) for v in (counts, expected))
    kept = expected > 0
    return stats.chisquare(counts[kept], expected[kept], sum_check=False).pvalue


@pytest.mark.parametrize("model", MODELS)
def test_draws_and_log_z(model):
    h = MODELS[model]()
    draws = exact_sample(h, key=jax.random.key(1), n=20_000)
    assert draws.states.shape == (20_000, 1, *h.state_shape)
    assert float(draws.log_z) == pytest.approx(float(Enumeration()(h).log_z), abs=1e-12)
    assert chi_square(h, draws.states[:, 0]) > 1e-4


@pytest.mark.parametrize("model", ["glass", "potts", "hard_squares", "mixed"])
def test_the_traced_law_is_exact(model):
    """Every outcome of every decision, with its probability: exactly exp(-H) / Z."""
    h = MODELS[model]()
    states = all_states(h)
    number = {s.tobytes(): i for i, s in enumerate(np.round(states, 9) + 0.0)}

    first = Script()
    jax.eval_shape(lambda k: _scripted(h, first, k), jax.random.key(0))
    codes = np.indices(first.bases).reshape(len(first.bases), -1).T
    paths = jax.jit(jax.vmap(lambda d: _scripted(h, Script(d), jax.random.key(0))))
    with mock.patch.object(perfect, "is_traced", lambda _: True):
        x, log_p = paths(jnp.asarray(codes))
    p = np.zeros(len(states))
    found = [number[s.tobytes()] for s in np.round(np.asarray(x), 9) + 0.0]
    np.add.at(p, found, np.exp(np.asarray(log_p)))
    np.testing.assert_allclose(p, boltzmann(h, states), atol=1e-12)


def _scripted(h, script, key):
    with script.installed():
        x = exact_sample(h, key=key, n=1).states[0, 0]
    return x, sum(script.log_p)


def test_coefficients_may_be_traced():
    """Under jit and vmap over models, and log Z has its derivative."""
    h = glass(2, 2)
    batch = jax.tree.map(lambda c: jnp.stack([c, 0.5 * c]), h)
    draw = jax.jit(jax.vmap(lambda h, k: exact_sample(h, key=k, n=4000)))
    out = draw(batch, jax.random.split(jax.random.key(2)))
    for i in range(2):
        own = jax.tree.map(lambda c, i=i: c[i], batch)
        assert chi_square(own, out.states[i, :, 0]) > 1e-4
        assert float(out.log_z[i]) == pytest.approx(float(Enumeration()(own).log_z), abs=1e-12)
    gradient = jax.grad(lambda h: exact_sample(h, key=jax.random.key(0), n=1).log_z)(h)
    exact = jax.grad(lambda h: Enumeration()(h).log_z)(h)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-12), gradient, exact)


def test_a_cold_strip():
    """8 x 40 glass at beta = 50: log Z as by the transfer matrix, energy as its derivative."""
    lattice = lattices.square(8, 40, periodic=False)
    for beta in (0.5, 50.0):
        h = beta * models.ising(lattice, normal(lattice.n_bonds))
        draws = exact_sample(h, key=jax.random.key(3), n=1000)
        log_z, slope = jax.value_and_grad(lambda b: TransferMatrix()(b * h).log_z)(1.0)  # noqa: B023
        assert float(draws.log_z) == pytest.approx(float(log_z), rel=1e-12)
        energy = draws.expectation(h)
        assert abs(float(energy.value + slope)) < 4 * float(energy.stderr) + 1e-9


def test_single_precision():
    h = jax.tree.map(lambda c: c.astype(jnp.float32), glass())
    draws = exact_sample(h, key=jax.random.key(4), n=5000)
    assert draws.states.dtype == jnp.float32
    assert float(draws.log_z) == pytest.approx(float(Enumeration()(h).log_z), rel=1e-6)
    assert chi_square(glass(), draws.states[:, 0]) > 1e-4


@pytest.mark.parametrize(
    ("lattice", "width"),
    [
        (lattices.square(4, 30, periodic=False), 4),
        (lattices.square(30, 4, periodic=False), 4),
        (lattices.square(4, 30, periodic=(True, False)), 5),
        (lattices.honeycomb(3, 20, periodic=False), 4),
        (lattices.bethe(3, 5), 1),
        (lattices.chain(40), 2),
    ],
)
def test_narrow_orders_are_found(lattice, width):
    scopes = tuple(map(tuple, lattice.bonds.array.tolist()))
    plan = best_elimination(scopes, (2,) * lattice.n_sites, lattice.shape)
    assert plan.width <= width
    assert sorted(s.site for s in plan.steps) == list(range(lattice.n_sites))


def test_bad_input_is_named():
    key = jax.random.key(0)
    with pytest.raises(SettingError, match="positive integer, got 0"):
        exact_sample(glass(), key=key, n=0)
    with pytest.raises(SettingError, match="max_memory is a positive"):
        exact_sample(glass(), key=key, n=1, max_memory=0)
    with pytest.raises(SpaceError, match="needs a finite space"):
        exact_sample(models.phi4(lattices.chain(4), r=1.0, u=1.0), key=key, n=1)
    with pytest.raises(TooLargeError, match="above max_memory=100:"):
        exact_sample(glass(), key=key, n=1, max_memory=100)
    for h in (
        models.ising(lattices.square(50, 50), 0.4),
        models.sherrington_kirkpatrick(100),
    ):
        with pytest.raises(TooLargeError, match="the narrowest found"):
            exact_sample(h, key=key, n=1, max_memory=10**30)
    nothing = Potential(jnp.full((2, 2), jnp.inf), [[0, 1]])
    with pytest.raises(StructureError, match="every configuration is forbidden"):
        exact_sample(Hamiltonian({"no": nothing}, space=SPIN, shape=(2,)), key=key, n=1)
    with pytest.raises(StructureError, match="an energy is NaN"):
        exact_sample(models.ising(lattices.chain(4), jnp.nan), key=key, n=1)


def mattis():
    """A ferromagnet behind random signs, with random fields."""
    lattice = lattices.square(2, 4)
    signs = np.where(np.random.default_rng(7).random(8) < 0.5, -1, 1)
    coupling = jnp.abs(normal(lattice.n_bonds, scale=0.6))
    return models.ising(lattice, coupling, normal(8)).gauge(signs)


def lattice_gas():
    lattice = lattices.triangular(3, 3, periodic=False)
    pair = Sites(-jnp.abs(normal(lattice.n_bonds)), lattice.bonds)
    site = Sites(1.0, np.arange(9)[:, None])
    return Hamiltonian({"pair": pair, "site": site}, space=BINARY, shape=(3, 3))


def attractive_tables():
    """Triples of mixed two-state sites that like to be up together."""
    all_up = jnp.zeros((2, 2, 2)).at[1, 1, 1].set(-1.0)
    triple = jnp.array([0.7, 1.2])[:, None, None, None] * all_up[None]
    site = Sites(0.4, [[1], [4]])
    terms = {"triple": Potential(triple, [[0, 1, 2], [2, 4, 3]]), "site": site}
    space = Product((SPIN, BINARY, SPIN, BINARY, SPIN))
    return Hamiltonian(terms, space=space, shape=(5,))


def table(energies, sites, n_sites):
    return Hamiltonian({"table": Potential(energies, sites)}, space=SPIN, shape=(n_sites,))


ATTRACTIVE = {
    "ising": lambda: models.ising(lattices.square(2, 4), 0.44, normal(8)),
    "strong": lambda: models.ising(lattices.chain(8), 1.2, 0.05),
    "antiferromagnet": lambda: models.ising(lattices.square(2, 4, periodic=False), -0.7, 0.3),
    "mattis": mattis,
    "hard_squares": hard_squares,
    "rbm": lambda: models.rbm(jnp.abs(normal(4, 3)), normal(4), normal(3)),
    "dense": lambda: Hamiltonian({"pair": Dense(-jnp.ones((6, 6)) / 4)}, space=SPIN, shape=(6,)),
    "lattice_gas": lattice_gas,
    "tables": attractive_tables,
}
REFUSED = {
    "triangular": (lambda: models.ising(lattices.triangular(3, 3), -0.2), "frustrated"),
    "glass": (glass, "frustrated"),
    "three_spins": (lambda: models.p_spin(3, 3), "a definite sign"),
    "hard_triple": (
        lambda: table(jnp.zeros((2, 2, 2)).at[1, 1, 1].set(jnp.inf), [[0, 1, 2]], 3),
        "hard constraints on pairs",
    ),
    "forbidden_end": (
        lambda: table(jnp.array([[0.0, jnp.inf], [0.0, jnp.inf]]), [[0, 1], [1, 2]], 3),
        "the highest configuration",
    ),
}


@pytest.mark.parametrize("model", ATTRACTIVE)
def test_coupling_from_the_past(model):
    h = ATTRACTIVE[model]()
    draws, info = coupling_from_the_past(h, key=jax.random.key(5), n=2000)
    assert bool(jnp.all(info["coalesced"])) and int(info["sweeps"].min()) >= 1
    assert chi_square(h, draws.states[:, 0]) > 1e-4


def test_coupling_from_the_past_against_kaufman():
    h = models.ising(lattices.square(16, 16), 0.4)
    draws, _ = coupling_from_the_past(h, key=jax.random.key(6), n=64)
    energy = draws.expectation(h)
    exact = 0.4 * float(kaufman_energy(16, 16, 0.4))
    assert abs(float(energy.value) - exact) < 4 * float(energy.stderr) < 0.08 * abs(exact)


def test_the_same_times_see_the_same_numbers():
    """A draw stays what it is when runs may begin earlier, and when there are other draws."""
    h = mattis()
    one, info = coupling_from_the_past(h, key=jax.random.key(8), n=40, max_doublings=12)
    with mock.patch.object(perfect, "BLOCK_SITES", 50):
        other, again = coupling_from_the_past(h, key=jax.random.key(8), n=40, max_doublings=16)
    np.testing.assert_array_equal(other.states, one.states)
    np.testing.assert_array_equal(again["sweeps"], info["sweeps"])


def test_every_earlier_start_leads_to_the_draw():
    """From any state, four times as early, the numbers of each time lead to the same state."""
    h, n = mattis(), 30
    draws, info = coupling_from_the_past(h, key=jax.random.key(9), n=n)
    keys = jax.random.split(jax.random.key(9), n)
    early = 4 * int(info["sweeps"].max())

    def move(x, t):
        own = jax.vmap(lambda k: jax.random.fold_in(k, t))(keys)
        swept = lambda x, k: sweep(h, x, perfect._heat_bath, key=k)[0]
        return jax.vmap(swept)(x, own), None

    start = jax.random.rademacher(jax.random.key(10), (n, 2, 4), h.dtype)
    x, _ = jax.jit(lambda x: jax.lax.scan(move, x, jnp.arange(early, 0, -1)))(start)
    np.testing.assert_array_equal(x, draws.states[:, 0])


def test_what_does_not_coalesce_is_not_returned():
    h = models.ising(lattices.square(2, 4), 0.3)
    with pytest.raises(TooLargeError, match=r"of 30 draws did not coalesce in 2\^2 sweeps"):
        coupling_from_the_past(h, key=jax.random.key(0), n=30, max_doublings=2)
    draw = jax.jit(lambda key: coupling_from_the_past(h, key=key, n=30, max_doublings=2))
    out, info = draw(jax.random.key(0))
    lost = np.isnan(np.asarray(out.states)).reshape(30, -1).all(axis=1)
    assert 0 < lost.sum() < 30 and np.array_equal(lost, ~np.asarray(info["coalesced"]))


@pytest.mark.parametrize("model", REFUSED)
def test_models_that_do_not_attract_are_refused(model):
    h, reason = REFUSED[model]
    with pytest.raises(StructureError, match=reason):
        coupling_from_the_past(h(), key=jax.random.key(0), n=1)


def test_bad_input_to_coupling_from_the_past_is_named():
    key = jax.random.key(0)
    with pytest.raises(SpaceError, match="two states a site, site 0 has 3"):
        coupling_from_the_past(models.potts(lattices.chain(4), 3, 1.0), key=key, n=1)
    with pytest.raises(StructureError, match="the coefficients are traced"):
        jax.jit(lambda h: coupling_from_the_past(h, key=key, n=1)[1])(mattis())
    with pytest.raises(SettingError, match="max_doublings is 0 to 30, got 31"):
        coupling_from_the_past(mattis(), key=key, n=1, max_doublings=31)
    with pytest.raises(SettingError, match="positive integer, got 0"):
        coupling_from_the_past(mattis(), key=key, n=0)
