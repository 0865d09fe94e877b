import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from samples import compiled, evaluated, shaped

from physdl import lattices, models
from physdl.errors import LatticeError, SettingError, ShapeError, SpaceError
from physdl.hamiltonian import Dense, Sites, Stencil
from physdl.spaces import BINARY, LINE, SPIN, potts

LATTICES = {
    "chain": lattices.chain(5),
    "chain of two": lattices.chain(2),
    "square": lattices.square(3, 4),
    "open square": lattices.square(3, 3, periodic=False),
    "triangular": lattices.triangular(3, 3),
    "honeycomb": lattices.honeycomb(2, 2),
    "cubic": lattices.cubic(2, 3, 2),
    "random": lattices.random_regular(6, 3, seed=1),
}
RNG = np.random.default_rng(17)
START = RNG.bit_generator.state
on_lattices = pytest.mark.parametrize("lattice", LATTICES.values(), ids=LATTICES)


@pytest.fixture(autouse=True)
def _same_numbers_in_any_order_of_tests():
    RNG.bit_generator.state = START


def couplings(lattice):
    """One number, one per bond, and on stencils one per direction, each with its value per bond."""
    n = lattice.n_bonds
    yield 0.7, np.full(n, 0.7)
    per_bond = RNG.normal(size=n)
    yield per_bond, per_bond
    if lattice.offsets is not None:
        per_direction = RNG.normal(size=len(lattice.offsets.array))
        yield per_direction, np.repeat(per_direction, lattice.n_sites)


def fields(lattice):
    """No field, one number, one per site, and in the shape of the lattice."""
    per_site = RNG.normal(size=lattice.n_sites)
    yield 0.0, np.zeros(lattice.n_sites)
    yield -0.3, np.full(lattice.n_sites, -0.3)
    yield per_site, per_site
    yield per_site.reshape(lattice.shape), per_site


def drawn(points, n_sites, n=6):
    """Random configurations [n, n_sites, c]."""
    return np.array(points)[RNG.integers(len(points), size=(n, n_sites))]


def on_bonds(lattice, per_bond, f, x):
    total = np.zeros(len(x))
    for (i, j), k in zip(lattice.bonds.array.tolist(), per_bond, strict=True):
        total += k * f(x[:, i], x[:, j])
    return total


def dot(a, b):
    return np.sum(a * b, axis=-1)


def kind_of(lattice):
    return Sites if lattice.offsets is None else Stencil


@on_lattices
def test_ising(lattice):
    x = drawn([[-1], [1]], lattice.n_sites)
    for (coupling, per_bond), (field, per_site) in itertools.product(
        couplings(lattice), fields(lattice)
    ):
        h = models.ising(lattice, coupling, field)
        expected = -on_bonds(lattice, per_bond, dot, x) - x[..., 0] @ per_site
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)
        assert isinstance(h.terms["bond"], kind_of(lattice))
        assert set(h.terms) == ({"bond"} if np.isscalar(field) and field == 0 else {"bond", "site"})
        assert (h.space, h.degree) == (SPIN, 2)


def test_a_traced_or_array_zero_is_a_field():
    lattice = lattices.chain(3)
    assert set(models.ising(lattice, 1.0, jnp.zeros(())).terms) == {"bond", "site"}
    assert set(models.ising(lattice, 1.0, 0).terms) == {"bond"}
    slope = jax.grad(lambda b: models.ising(lattice, 1.0, b)(jnp.ones(3)))(0.0)
    assert float(slope) == -3.0


@on_lattices
@pytest.mark.parametrize("q", [2, 3])
def test_potts(lattice, q):
    n = lattice.n_sites
    x = drawn(np.eye(q), n)
    delta = lambda a, b: np.all(a == b, axis=-1).astype(float)
    per_site, vector = RNG.normal(size=(n, q)), RNG.normal(size=q)
    strengths = [
        (0.0, np.zeros((n, q))),
        (0.4, np.tile(0.4 * np.eye(q)[0], (n, 1))),
        (vector, np.tile(vector, (n, 1))),
        (per_site, per_site),
    ]
    for number, (coupling, per_bond) in enumerate(couplings(lattice)):
        field, full = strengths[(number + q) % 4]
        h = models.potts(lattice, q, coupling, field)
        expected = -on_bonds(lattice, per_bond, delta, x) - np.einsum("sia,ia->s", x, full)
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)
        assert ("site" in h.terms) == bool(np.any(full))
        assert h.degree == 2


@pytest.mark.parametrize("field", [0.4, [0.1, 0.2, 0.3], "per site"])
def test_fields_on_components(field):
    lattice = lattices.chain(4)
    field = RNG.normal(size=(4, 3)) if field == "per site" else np.array(field)
    full = np.zeros((4, 3))
    full[:, 0 if field.ndim == 0 else slice(None)] = field
    x = drawn(np.eye(3), 4)
    h = models.potts(lattice, 3, jnp.zeros(()), field)
    np.testing.assert_allclose(evaluated(h, x), -np.einsum("sia,ia->s", x, full), atol=1e-14)


@on_lattices
def test_clock(lattice):
    q = 5
    angle = 2 * np.pi / q * RNG.integers(q, size=(6, lattice.n_sites))
    x = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    for coupling, per_bond in couplings(lattice):
        h = models.clock(lattice, q, coupling, 0.3)
        expected = -on_bonds(lattice, per_bond, lambda a, b: np.cos(a - b), angle)
        expected -= 0.3 * np.cos(angle).sum(axis=1)
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["chain", "square", "open square", "honeycomb"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_o_n(name, n):
    lattice = LATTICES[name]
    x = RNG.normal(size=(6, lattice.n_sites, n))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    field = RNG.normal(size=n)
    for coupling, per_bond in couplings(lattice):
        h = models.o_n(lattice, n, coupling, field)
        expected = -on_bonds(lattice, per_bond, dot, x) - np.sum(x @ field, axis=1)
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)


def test_xy_and_heisenberg_are_o_2_and_o_3():
    lattice = lattices.square(2, 3)
    assert models.xy(lattice, 0.4, 0.1) == models.o_n(lattice, 2, 0.4, 0.1)
    assert models.heisenberg(lattice, 0.4) == models.o_n(lattice, 3, 0.4)


@pytest.mark.parametrize("name", ["chain of two", "square", "open square", "honeycomb"])
@pytest.mark.parametrize("s", [0.5, 1, 1.5])
def test_blume_capel(name, s):
    lattice = LATTICES[name]
    x = RNG.integers(int(2 * s) + 1, size=(6, lattice.n_sites, 1)) - s
    crystal = RNG.normal(size=lattice.n_sites)
    for coupling, per_bond in couplings(lattice):
        h = models.blume_capel(lattice, coupling, crystal, 0.2, biquadratic=0.6, s=s)
        expected = -on_bonds(lattice, per_bond, dot, x) + x[..., 0] ** 2 @ crystal
        expected -= 0.2 * x.sum(axis=(1, 2))
        expected -= 0.6 * on_bonds(
            lattice, np.ones(lattice.n_bonds), lambda a, b: dot(a * a, b * b), x
        )
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)
        assert h.degree == 4
    assert set(models.blume_capel(lattice, 1.0, 0.5).terms) == {"bond", "crystal_field"}


@pytest.mark.parametrize("name", ["chain", "square", "open square"])
def test_ashkin_teller(name):
    lattice = LATTICES[name]
    x = drawn([[a, b] for a in (-1, 1) for b in (-1, 1)], lattice.n_sites)
    first = lambda a, b: a[..., 0] * b[..., 0]
    second = lambda a, b: a[..., 1] * b[..., 1]
    four = lambda a, b: a.prod(axis=-1) * b.prod(axis=-1)
    for coupling, per_bond in couplings(lattice):
        h = models.ashkin_teller(lattice, coupling, 0.2, coupling_tau=0.5)
        ones = np.ones(lattice.n_bonds)
        expected = -on_bonds(lattice, per_bond, first, x)
        expected -= 0.5 * on_bonds(lattice, ones, second, x) + 0.2 * on_bonds(
            lattice, ones, four, x
        )
        np.testing.assert_allclose(evaluated(h, x), expected, atol=1e-12)
    assert h.degree == 4
    equal = models.ashkin_teller(lattice, 0.3, 0.2)
    assert equal == models.ashkin_teller(lattice, 0.3, 0.2, 0.3)


def test_ashkin_teller_with_equal_couplings_is_the_four_state_potts_model():
    """K (ss' + tt' + ss'tt') = 4 K delta - K: F. Y. Wu, Rev. Mod. Phys. 54, 235 (1982)."""
    lattice = lattices.square(2, 2, periodic=False)
    k = 0.37
    labels = oracle.all_labels([range(4)] * 4)
    four = np.array([[a, b] for a in (-1, 1) for b in (-1, 1)])[labels]
    ashkin_teller = evaluated(models.ashkin_teller(lattice, k, k), four)
    potts4 = evaluated(models.potts(lattice, 4, 4 * k), np.eye(4)[labels])
    np.testing.assert_allclose(ashkin_teller, potts4 + k * lattice.n_bonds, atol=1e-12)


def test_two_state_potts_is_ising_at_half_the_coupling():
    """delta = (1 + s s') / 2."""
    lattice = lattices.square(2, 3)
    labels = oracle.all_labels([range(2)] * 6)
    potts2 = evaluated(models.potts(lattice, 2, 2 * 0.44), np.eye(2)[labels])
    ising = evaluated(models.ising(lattice, 0.44), 2.0 * labels[..., None] - 1)
    np.testing.assert_allclose(potts2, ising - 0.44 * lattice.n_bonds, atol=1e-12)


def test_four_state_clock_is_two_ising_models_at_half_the_coupling():
    """cos(theta - theta') = (s s' + t t') / 2 for the corners of a square."""
    lattice = lattices.square(2, 2)
    labels = oracle.all_labels([range(4)] * 4)
    clock4 = evaluated(models.clock(lattice, 4, 0.8), np.array(oracle.POINTS["clock(4)"])[labels])
    spins = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]])[labels]
    half = models.ising(lattice, 0.4)
    twice = sum(evaluated(half, spins[..., a : a + 1]) for a in (0, 1))
    np.testing.assert_allclose(clock4, twice, atol=1e-12)


@on_lattices
def test_phi4(lattice):
    x = RNG.normal(size=(6, lattice.n_sites, 1))
    phi = x[..., 0]
    u = RNG.normal(size=lattice.n_sites)
    for gradient, per_bond in couplings(lattice):
        h = models.phi4(
            lattice, r=-0.4, u=u, gradient=gradient, field=0.3, higher={6: 0.05, 3: 0.2}
        )
        expected = on_bonds(lattice, per_bond, lambda a, b: (a - b) ** 2, phi)
        expected += np.sum(-0.4 * phi**2 + 0.05 * phi**6 + 0.2 * phi**3 - 0.3 * phi, axis=1)
        expected += phi**4 @ u
        np.testing.assert_allclose(evaluated(h, x), expected, rtol=1e-12, atol=1e-12)
        assert (h.space, h.degree) == (LINE, 6)


def test_phi4_leaves_out_what_is_zero():
    lattice = lattices.chain(4)
    assert set(models.phi4(lattice, r=1.0, u=0.0).terms) == {"gradient", "gradient_square", "phi2"}
    assert set(models.phi4(lattice, r=0, u=1.0, gradient=0).terms) == {"phi4"}


def test_gaussian_is_phi4_without_interaction():
    lattice = lattices.square(3, 3)
    h = models.gaussian(lattice, r=0.5, gradient=2.0, field=0.1)
    assert h == models.phi4(lattice, r=0.5, u=0.0, gradient=2.0, field=0.1)
    assert h.degree == 2


def test_edwards_anderson():
    lattice = lattices.square(8, 8)
    h = models.edwards_anderson(lattice, 2.0, seed=3)
    j = -np.asarray(h.terms["bond"].coefficient).reshape(-1) / 2.0
    assert abs(j.mean()) < 4 / np.sqrt(j.size)
    assert abs(j.var() - 1) < 4 * np.sqrt(2 / j.size)
    x = drawn([[-1], [1]], 64)
    np.testing.assert_allclose(evaluated(h, x), -2 * on_bonds(lattice, j, dot, x), atol=1e-12)
    bimodal = models.edwards_anderson(lattice, 0.5, 0.1, seed=3, disorder="bimodal")
    signs = np.asarray(bimodal.terms["bond"].coefficient)
    assert set(np.unique(signs)) == {-0.5, 0.5}
    assert abs(signs.mean()) < 0.5 * 4 / np.sqrt(signs.size)
    assert "site" in bimodal.terms


def test_sherrington_kirkpatrick():
    n = 60
    h = models.sherrington_kirkpatrick(n, 2.0, 0.1, mean=3.0, seed=1)
    j = -np.asarray(h.terms["pair"].coefficient) / 2.0
    np.testing.assert_array_equal(j, j.T)
    assert not np.any(np.diag(j))
    upper = j[np.triu_indices(n, 1)]
    assert abs(upper.mean() - 3.0 / n) < 4 / np.sqrt(n * upper.size)
    assert abs(n * upper.var() - 1) < 4 * np.sqrt(2 / upper.size)
    x = drawn([[-1], [1]], n)[..., 0]
    pairs = itertools.combinations(range(n), 2)
    expected = -2 * sum(j[a, b] * x[:, a] * x[:, b] for a, b in pairs) - 0.1 * x.sum(axis=1)
    np.testing.assert_allclose(evaluated(h, x[..., None]), expected, atol=1e-12)


@pytest.mark.parametrize("p", [1, 2, 3, 4])
def test_p_spin(p):
    n = 12
    h = models.p_spin(n, p, 0.5, np.arange(n) / 10, seed=2)
    term = h.terms["interaction"]
    groups = list(itertools.combinations(range(n), p))
    assert h.degree == p
    assert term.table.array.tolist() == [list(g) for g in groups]
    j = -np.asarray(term.coefficient) / 0.5
    variance = np.prod(np.arange(1, p + 1)) / (2 * n ** (p - 1))
    assert abs(j.var() / variance - 1) < 4 * np.sqrt(2 / j.size)
    x = drawn([[-1], [1]], n)[..., 0]
    expected = -0.5 * sum(c * x[:, list(g)].prod(axis=1) for c, g in zip(j, groups, strict=True))
    expected -= x @ np.arange(n) / 10
    np.testing.assert_allclose(evaluated(h, x[..., None]), expected, atol=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda seed: models.edwards_anderson(lattices.chain(5), seed=seed),
        lambda seed: models.edwards_anderson(lattices.chain(9), seed=seed, disorder="bimodal"),
        lambda seed: models.sherrington_kirkpatrick(4, seed=seed),
        lambda seed: models.p_spin(5, 3, seed=seed),
    ],
)
def test_one_seed_is_one_sample(make):
    assert make(1) == make(1)
    assert make(1) != make(2)
    assert make(0) != make(1)


def test_hopfield():
    xi = RNG.choice([-1, 1], size=(3, 7))
    x = drawn([[-1], [1]], 7)[..., 0]
    expected = np.zeros(6)
    for i, j in itertools.combinations(range(7), 2):
        expected -= 1.5 * np.sum(xi[:, i] * xi[:, j]) / 7 * x[:, i] * x[:, j]
    h = models.hopfield(xi, 1.5, 0.25)
    np.testing.assert_allclose(
        evaluated(h, x[..., None]), expected - 0.25 * x.sum(axis=1), atol=1e-12
    )


def test_a_hopfield_pattern_is_its_own_lowest_state():
    xi = np.array([[1, -1, -1, 1, 1]])
    energies = evaluated(models.hopfield(xi), oracle.all_states([[[-1], [1]]] * 5))
    assert energies.min() == pytest.approx(float(models.hopfield(xi)(xi[0])))


@pytest.mark.parametrize(
    ("visible", "hidden"),
    [(BINARY, BINARY), (SPIN, SPIN), (LINE, BINARY), (SPIN, LINE), (LINE, LINE)],
)
def test_rbm(visible, hidden):
    w, a, b = RNG.normal(size=(3, 2)), RNG.normal(size=3), RNG.normal(size=2)
    layers = [
        RNG.normal(size=(6, n)) if space == LINE else space.array[RNG.integers(2, size=(6, n)), 0]
        for space, n in ((visible, 3), (hidden, 2))
    ]
    v, u = layers
    expected = -np.sum((v @ w) * u, axis=1) - v @ a - u @ b
    expected += sum(0.5 * np.sum(s**2, axis=1) for s, k in ((v, visible), (u, hidden)) if k == LINE)
    h = models.rbm(w, a, b, visible=visible, hidden=hidden)
    np.testing.assert_allclose(
        evaluated(h, np.concatenate([v, u], 1)[..., None]), expected, atol=1e-12
    )
    assert isinstance(h.terms["weight"], Dense)
    assert set(models.rbm(w).terms) == {"weight"}


def test_differentiable_in_every_coupling():
    """The gradient is that of the same energy written with jax.numpy for one configuration."""
    lattice = lattices.square(3, 3)
    phi = jnp.asarray(RNG.normal(size=(3, 3)))

    def energy(r, u, c):
        return models.phi4(lattice, r=r, u=u, gradient=c)(phi)

    given = compiled(jax.grad(energy, (0, 1, 2)))(0.1, 0.2, 0.3)
    bonds = sum(np.sum((phi - np.roll(phi, 1, axis)) ** 2) for axis in (0, 1))
    np.testing.assert_allclose(given, [np.sum(phi**2), np.sum(phi**4), bonds], rtol=1e-13)


def test_couplings_may_be_batched():
    lattice = lattices.chain(4)
    energies = jax.vmap(lambda k: models.ising(lattice, k)(jnp.ones(4)))(jnp.arange(3.0))
    assert energies.tolist() == [0.0, -4.0, -8.0]


def test_single_precision():
    with jax.enable_x64(False):
        h = models.blume_capel(lattices.square(3, 3), np.full(18, 0.5), 0.25, 0.1)
        assert h.dtype == jnp.float32
        x = shaped(h, np.ones((1, 9, 1))).astype(np.int8)
        assert float(h(x[0])) == pytest.approx(-9 + 2.25 - 0.9, rel=1e-6)


CHAIN = lattices.chain(4)
OPEN = lattices.square(2, 3, periodic=False)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: models.ising(CHAIN, np.ones(3)), ShapeError, r"\(1,\) or \(4,\).*got \(3,\)"),
        (lambda: models.ising(OPEN, np.ones(2)), ShapeError, r"\(\) or \(7,\).*got \(2,\)"),
        (lambda: models.ising(CHAIN, 1.0, np.ones(3)), ShapeError, r"\(4,\).*got \(3,\)"),
        (lambda: models.potts(CHAIN, 3, np.ones((2, 2))), ShapeError, r"got \(2, 2\)"),
        (lambda: models.potts(CHAIN, 3, 1.0, np.ones(2)), ShapeError, r"\(4, 3\), got \(2,\)"),
        (lambda: models.potts(CHAIN, 0, 1.0), SettingError, "got 0"),
        (lambda: models.clock(CHAIN, 1, 1.0), SettingError, "got 1"),
        (lambda: models.o_n(CHAIN, 1, 1.0), SettingError, "got 1"),
        (lambda: models.blume_capel(CHAIN, 1.0, np.ones(3)), ShapeError, r"got \(3,\)"),
        (lambda: models.blume_capel(CHAIN, 1.0, 0.0, s=0.3), SettingError, r"got 0\.3"),
        (lambda: models.phi4(CHAIN, r=1, u=1, higher={4: 1.0}), SettingError, "got 4"),
        (lambda: models.phi4(CHAIN, r=1, u=1, higher={1: 1.0}), SettingError, "got 1"),
        (lambda: models.phi4(CHAIN, r=1, u=1, higher={2.5: 1.0}), SettingError, r"got 2\.5"),
        (lambda: models.edwards_anderson(CHAIN, disorder="x"), SettingError, "got 'x'"),
        (lambda: models.sherrington_kirkpatrick(0), SettingError, "n_sites .* got 0"),
        (lambda: models.sherrington_kirkpatrick(3, 1.0, np.ones(2)), ShapeError, r"got \(2,\)"),
        (lambda: models.p_spin(3, 4), SettingError, "p=4, n=3"),
        (lambda: models.p_spin(3, 0), SettingError, "p is a positive integer, got 0"),
        (lambda: models.p_spin(2.5, 1), SettingError, r"got 2\.5"),
        (lambda: models.hopfield([1, -1]), ShapeError, r"got \(2,\)"),
        (lambda: models.rbm(np.ones(3)), ShapeError, r"got \(3,\)"),
        (lambda: models.rbm(np.ones((3, 2)), np.ones(2)), ShapeError, r"visible bias.*got \(2,\)"),
        (lambda: models.rbm(np.ones((3, 2)), 0.0, np.ones(3)), ShapeError, r"hidden bias.*\(3,\)"),
        (lambda: models.rbm(np.ones((3, 2)), visible=potts(3)), ShapeError, r"potts\(3\).*, 3,"),
        (lambda: models.rbm(np.ones((3, 2)), hidden=potts(3)), SpaceError, r"potts\(3\)"),
        (lambda: models.ising(lattices.chain(1), 1.0), LatticeError, "1"),
    ],
)
def test_arguments_out_of_range(make, error, message):
    with pytest.raises(error, match=message):
        make()
