import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from samples import SAMPLES, compiled, evaluated

from physdl import lattices, models
from physdl.errors import SpaceError, SupportError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Potential, Sites, Stencil
from physdl.spaces import BINARY, LINE, SPIN, product, sphere


def check(sample, *choices):
    """Effective energies of each choice of summed sites, all in one compilation."""
    marginals = [oracle.marginal(sample.labels, sample.energies, summed) for summed in choices]
    rests = [[p for i, p in enumerate(sample.points) if i not in summed] for summed in choices]
    states = [
        oracle.states_of(rest, kept) for rest, (kept, _) in zip(rests, marginals, strict=True)
    ]

    @compiled
    def energies(h, inputs):
        effective = [h.marginalise(summed) for summed in choices]
        assert [e.shape for e in effective] == [(len(rest),) for rest in rests]
        return [
            jax.vmap(e)(x.reshape(len(x), *e.state_shape))
            for e, x in zip(effective, inputs, strict=True)
        ]

    for found, (_, expected) in zip(energies(sample.h, states), marginals, strict=True):
        np.testing.assert_allclose(found, expected, atol=1e-11)


@pytest.mark.parametrize("name", SAMPLES)
def test_one_site_and_two_sites(name):
    sample = SAMPLES[name]
    check(sample, [1], [sample.h.n_sites - 1, 0])


@pytest.mark.parametrize(
    "name", ["sites, spins", "sites, summed vectors", "stencil, disordered", "all kinds, mixed"]
)
def test_all_sites_leave_minus_log_z(name):
    sample = SAMPLES[name]
    check(sample, list(range(sample.h.n_sites)))


def test_no_site():
    sample = SAMPLES["stencil, isotropic"]
    rest = sample.h.marginalise([])
    np.testing.assert_allclose(evaluated(rest, sample.states), sample.energies, atol=1e-13)


def test_one_after_the_other_is_both_at_once():
    """Terms left by the first step keep their place when the second adds its own."""
    h = models.ising(lattices.chain(8), 0.7, 0.2)
    twice = compiled(lambda h: h.marginalise([1]).marginalise([4]))(h)
    once = compiled(lambda h: h.marginalise([1, 5]))(h)
    x = oracle.all_states([[[-1], [1]]] * 6)
    np.testing.assert_allclose(evaluated(twice, x), evaluated(once, x), atol=1e-13)


def test_a_site_without_any_term_counts_its_states():
    h = Hamiltonian({"t": Sites(1.0, [[0]])}, space=BINARY, shape=(3,))
    rest = h.marginalise([1, 2])
    assert float(rest(jnp.array([1.0]))) == pytest.approx(1.0 - 2 * np.log(2))


def test_decimation_of_the_ring():
    """K' = log(cosh 2K) / 2 and a constant log(2 sqrt(cosh 2K)) for each site summed out.

    L. P. Kadanoff, Statistical Physics (2000), chapter 14.
    """
    coupling = 0.8
    ring = models.ising(lattices.chain(8), coupling)
    h = compiled(lambda h: h.marginalise([1, 3, 5, 7]).expand())(ring)
    assert set(h.terms) >= {"degree_0", "degree_2"}
    pairs = dict(zip(map(tuple, h.terms["degree_2"].table.array.tolist()), range(99), strict=False))
    c = h.terms["degree_2"].coefficient
    for pair in ((0, 1), (1, 2), (2, 3), (0, 3)):
        assert float(c[pairs[pair]]) == pytest.approx(-0.5 * np.log(np.cosh(2 * coupling)))
    constant = 4 * (np.log(2) + 0.5 * np.log(np.cosh(2 * coupling)))
    assert float(h.terms["degree_0"].coefficient[0]) == pytest.approx(-constant)


@pytest.mark.parametrize("b", [1, 2, 3, 6])
def test_a_star_leaves_a_function_of_the_sum_of_its_neighbours(b):
    h = Hamiltonian(
        {"t": Sites(-0.4, [[0, i] for i in range(1, b + 1)])}, space=SPIN, shape=(b + 1,)
    )
    x = oracle.all_states([[[-1], [1]]] * b)
    expected = -np.log(2 * np.cosh(0.4 * x[..., 0].sum(axis=1)))
    marginal = compiled(lambda h: h.marginalise([0]))(h)
    np.testing.assert_allclose(evaluated(marginal, x), expected, atol=1e-13)


def test_hidden_units_leave_the_free_energy_of_the_visible_ones():
    """F(v) = -a . v - sum_j log(1 + exp(b_j + (v W)_j))."""
    rng = np.random.default_rng(4)
    w, a, b = rng.normal(size=(4, 6)), rng.normal(size=4), rng.normal(size=6)
    marginal = compiled(lambda h: h.marginalise(np.arange(4, 10)))(models.rbm(w, a, b))
    v = oracle.all_labels([[0, 1]] * 4).astype(float)
    expected = -v @ a - np.sum(np.log1p(np.exp(b + v @ w)), axis=1)
    np.testing.assert_allclose(evaluated(marginal, v[..., None]), expected, atol=1e-12)


def test_clusters_of_different_sizes_together():
    h = models.edwards_anderson(lattices.square(3, 3, periodic=False), 0.9, 0.1, seed=3)
    summed = [0, 1, 4, 8]
    labels = oracle.all_labels([[0, 1]] * 9)
    states = oracle.states_of([[[-1], [1]]] * 9, labels)
    kept, expected = oracle.marginal(labels, evaluated(h, states), summed)
    marginal = compiled(lambda h: h.marginalise(summed))(h)
    np.testing.assert_allclose(evaluated(marginal, 2.0 * kept[..., None] - 1), expected, atol=1e-12)


def test_constraints_stay_tables_and_free_clusters_polynomials():
    hard = Potential([[0.0, 0.0], [0.0, np.inf]], [[0, 1], [1, 2]])
    constrained = Hamiltonian({"t": hard}, space=BINARY, shape=(3,)).marginalise([1])
    assert all(isinstance(t, Potential) for t in constrained.terms.values())
    assert float(constrained(jnp.array([1, 0]))) == 0.0
    assert float(constrained(jnp.array([0, 0]))) == pytest.approx(-np.log(2))
    free = models.ising(lattices.chain(4), 1.0).marginalise([1])
    assert all(isinstance(t, Sites) for t in free.terms.values())


def test_no_configuration_at_all():
    h = Hamiltonian({"t": Potential(np.full((2, 2), np.inf), [[0, 1]])}, space=SPIN, shape=(2,))
    assert h.marginalise([0])(jnp.ones(1)) == np.inf
    assert h.marginalise([0, 1])(jnp.zeros(0)) == np.inf
    weight = lambda beta: jnp.exp(-(beta * h).marginalise([0])(jnp.ones(1)))
    assert compiled(jax.grad(weight))(1.0) == 0.0


def test_strong_couplings_do_not_overflow():
    h = models.ising(lattices.chain(6), 2000.0).marginalise([1, 3, 5])
    assert float(h(jnp.ones(3))) == pytest.approx(-12000.0)
    assert float(h(jnp.array([1.0, 1.0, -1.0]))) == pytest.approx(-4000.0 - 2 * np.log(2))


def test_derivative_is_minus_the_conditional_moments():
    """d/dK of -log sum_s exp(K s (y_1 + y_2)) is -(y_1 + y_2) tanh K (y_1 + y_2)."""
    chain = lattices.chain(3, periodic=False)
    slope = compiled(jax.grad(lambda k: models.ising(chain, k).marginalise([1])(jnp.ones(2))))(0.3)
    assert float(slope) == pytest.approx(-2 * np.tanh(0.6), abs=1e-14)


def test_single_precision():
    with jax.enable_x64(False):
        h = Hamiltonian({"t": Stencil(-0.5, [[[0], [1]]])}, space=SPIN, shape=(4,))
        rest = h.marginalise([0, 2])
        assert rest.dtype == jnp.float32
        expected = -2 * np.log(2 * np.cosh(1.0))
        assert float(rest(jnp.ones(2))) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("sites", "message"),
    [
        ([3], "site 3 does not exist.*3 sites"),
        ([-1], "site -1 does not exist"),
        ([0, 0], r"named once, got \[0, 0\]"),
        ([0.0], r"integers, got \[0\.0\]"),
    ],
)
def test_sites_that_do_not_exist(sites, message):
    with pytest.raises(SupportError, match=message):
        Hamiltonian({}, space=SPIN, shape=(3,)).marginalise(sites)


def test_a_cluster_with_too_many_neighbours():
    star = Hamiltonian({"t": Sites(1.0, [[0, i] for i in range(1, 28)])}, space=SPIN, shape=(28,))
    with pytest.raises(TooLargeError, match=r"table of 1 x 2 x 2.*16777216.*fewer"):
        star.marginalise([0])


@pytest.mark.parametrize("space", [LINE, sphere(2), product([BINARY, LINE])], ids=repr)
def test_continuous_spaces(space):
    with pytest.raises(SpaceError, match="marginalising exactly needs a finite space, got"):
        Hamiltonian({}, space=space, shape=(2,)).marginalise([0])
