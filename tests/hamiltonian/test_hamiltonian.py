import itertools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from hypothesis import given
from hypothesis import strategies as st
from samples import SAMPLES, compiled, evaluated, shaped
from strategies import examples, hamiltonians

from physdl.errors import PhysdlError, ShapeError, SpaceError, SupportError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.spaces import BINARY, LINE, SPIN, levels, potts, product, sphere

names = pytest.mark.parametrize("name", SAMPLES)


def two_terms(bond=-0.5, site=0.25):
    terms = {"bond": Sites(bond, [[0, 1], [1, 2]]), "site": Sites(site, [[0], [1], [2]])}
    return Hamiltonian(terms, space=SPIN, shape=(3,))


SPINS = np.array(list(itertools.product((-1, 1), repeat=3)))


def by_hand(bond=-0.5, site=0.25):
    x = SPINS
    return bond * (x[:, 0] * x[:, 1] + x[:, 1] * x[:, 2]) + site * x.sum(axis=1)


@names
def test_energies(name):
    sample = SAMPLES[name]
    np.testing.assert_allclose(evaluated(sample.h, sample.states), sample.energies, atol=1e-12)


@names
def test_potentials_are_the_same_function_on_distinct_ascending_groups(name):
    sample = SAMPLES[name]
    tables = []
    for potential in compiled(lambda h: h.potentials())(sample.h):
        groups = potential.sites.array
        assert len(np.unique(groups, axis=0)) == len(groups)
        assert np.all(np.diff(groups, axis=1) > 0)
        tables += zip(np.asarray(potential.table), groups, strict=True)
    np.testing.assert_allclose(
        oracle.table_energies(sample.labels, tables), sample.energies, atol=1e-12
    )


@examples(20)
@given(st.lists(hamiltonians(), min_size=10, max_size=10))
def test_random_polynomials(samples):
    """Two hundred of them, ten in one compilation."""
    both = compiled(lambda pairs: [(jax.vmap(h)(x), h.potentials()) for h, x in pairs])
    results = both([(s.h, shaped(s.h, s.states)) for s in samples])
    for sample, (energies, potentials) in zip(samples, results, strict=True):
        tables = [
            pair
            for p in potentials
            for pair in zip(np.asarray(p.table), p.sites.array, strict=True)
        ]
        np.testing.assert_allclose(energies, sample.energies, atol=1e-11)
        counted = oracle.log_z(oracle.table_energies(sample.labels, tables))
        assert counted == pytest.approx(oracle.log_z(sample.energies), abs=1e-11)


@pytest.mark.parametrize("space", [LINE, sphere(2), sphere(3)], ids=repr)
def test_energies_on_continuous_spaces(space):
    rng = np.random.default_rng(3)
    c = space.n_components
    x = rng.normal(size=(7, 3, c))
    if c > 1:
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    a, b = 0, c - 1
    table = [[0 * c + a, 1 * c + b, 1 * c + b], [2 * c + b, 2 * c + b, 2 * c + b]]
    matrix, offsets = rng.normal(size=(3, 3)), [[[0], [2], [2]]]
    components = None if c == 1 else [[a, b, a], [b, b, b]]
    terms = {
        "dense": Dense(matrix),
        "sites": Sites([0.5, -1.5], table),
        "stencil": Stencil([0.7], offsets, components),
    }
    monomials = [
        *oracle.dense_monomials(matrix, c),
        *oracle.sites_monomials([0.5, -1.5], table, c),
        *oracle.stencil_monomials([0.7], offsets, (3,), components),
    ]
    h = Hamiltonian(terms, space=space, shape=(3,))
    np.testing.assert_allclose(evaluated(h, x), oracle.energies(x, monomials), atol=1e-12)


@names
def test_gradient_in_the_coefficients_is_the_monomials(name):
    """H is linear, so the contraction of its gradient with the coefficients is H itself."""
    sample = SAMPLES[name]
    pick = np.random.default_rng(0).integers(len(sample.labels), size=20)
    labels, states = sample.labels[pick], sample.states[pick]
    gradient = compiled(jax.vmap(jax.grad(lambda h, x: h(x)), (None, 0)))
    g = gradient(sample.h, shaped(sample.h, states))
    assert isinstance(g, Hamiltonian)
    contracted = sum(
        np.sum(
            np.where(np.asarray(a) == 0, 0, np.asarray(a) * np.where(np.isposinf(c), 0, c)),
            axis=tuple(range(1, np.ndim(a))),
        )
        for a, c in zip(jax.tree.leaves(g), jax.tree.leaves(sample.h), strict=True)
    )
    finite = [(np.where(np.isposinf(t), 0, t), s) for t, s in sample.tables]
    expected = oracle.energies(states, sample.monomials) + oracle.table_energies(labels, finite)
    np.testing.assert_allclose(contracted, expected, atol=1e-12)


def test_gradient_in_each_coefficient():
    h = Hamiltonian({"t": Sites([1.0, 2.0], [[0, 1, 1], [2, 2, 2]])}, space=LINE, shape=(3,))
    g = jax.grad(lambda h: h(jnp.array([2.0, 3.0, 5.0])))(h)
    assert g.terms["t"].coefficient.tolist() == [18.0, 125.0]
    assert g.terms["t"].table == h.terms["t"].table


def test_gradient_in_the_state():
    h = Hamiltonian({"t": Sites(0.5, [[0, 1, 1]])}, space=LINE, shape=(2,))
    assert jax.grad(h)(jnp.array([2.0, 3.0])).tolist() == [4.5, 6.0]


def test_a_batch_of_hamiltonians_is_one_hamiltonian():
    batch = jax.vmap(lambda k: k * two_terms())(jnp.arange(4.0))
    energies = jax.vmap(lambda h: jax.vmap(h)(SPINS))(batch)
    np.testing.assert_allclose(energies, np.arange(4.0)[:, None] * by_hand(), atol=1e-14)


def test_new_coefficients_do_not_retrace():
    traces = []

    @jax.jit
    def energy(h, x):
        traces.append(h)
        return h(x)

    for bond in (0.1, 0.2, 0.3):
        energy(two_terms(bond), SPINS[0])
    assert len(traces) == 1
    energy(two_terms(np.array([0.1, 0.2])), SPINS[0])
    assert len(traces) == 2


def test_states_of_any_number_type():
    for dtype in (np.int8, np.int64, np.float32, np.float64):
        np.testing.assert_allclose(jax.vmap(two_terms())(SPINS.astype(dtype)), by_hand())


@pytest.mark.parametrize(
    "number",
    [3, 3.0, np.float64(3), np.int32(3), np.array(3.0), jnp.array(3.0), jnp.int8(3)],
    ids=repr,
)
def test_multiplication_by_a_number_on_both_sides(number):
    number = number() if callable(number) else number
    for scaled in (number * two_terms(), two_terms() * number):
        assert isinstance(scaled, Hamiltonian)
        np.testing.assert_allclose(evaluated(scaled, SPINS), 3 * by_hand(), rtol=1e-15)
    divided = evaluated(two_terms() / number, SPINS)
    np.testing.assert_allclose(divided, by_hand() / 3, rtol=1e-15)


def test_only_numbers_multiply():
    for other in (two_terms(), np.ones(2), "x"):
        with pytest.raises((TypeError, ValueError)):
            two_terms() * other
    with pytest.raises(TypeError):
        two_terms() + 1


@names
def test_sum_difference_and_sign(name):
    sample = SAMPLES[name]
    smooth = np.isfinite(sample.energies)
    combined = compiled(
        lambda h, x: [jax.vmap(g)(x) for g in (h + h, 0.5 * h + 2 * h, -h, h - 3 * h)]
    )(sample.h, shaped(sample.h, sample.states))
    for energies, factor in zip(combined, (2.0, 2.5, -1.0, -2.0), strict=True):
        expected = np.where(smooth, factor * np.where(smooth, sample.energies, 0), np.inf)
        np.testing.assert_allclose(energies, expected, atol=1e-12)


def test_equal_terms_add_and_others_stand_side_by_side():
    a, b = two_terms(), two_terms(1.0, 2.0)
    assert (a + b) == two_terms(0.5, 2.25)
    other = Hamiltonian({"bond": Sites(1.0, [[0, 2]])}, space=SPIN, shape=(3,))
    h = a + other
    assert set(h.terms) == {"bond", "site", "bond'"}
    expected = by_hand() + SPINS[:, 0] * SPINS[:, 2]
    np.testing.assert_allclose(jax.vmap(h)(SPINS), expected)
    np.testing.assert_allclose(jax.vmap(h + other)(SPINS), expected + SPINS[:, 0] * SPINS[:, 2])
    assert set((h + other).terms) == {"bond", "site", "bond'"}


def test_coefficients_of_different_shapes_stand_side_by_side():
    a, b = two_terms(0.5), two_terms(np.array([1.0, 2.0]))
    np.testing.assert_allclose(
        jax.vmap(a + b)(SPINS), jax.vmap(a)(SPINS) + jax.vmap(b)(SPINS), atol=1e-14
    )


def test_hard_constraints_stay_hard_at_every_temperature():
    h = Hamiltonian({"t": Potential([0.0, jnp.inf], [[0]])}, space=BINARY, shape=(1,))
    for beta in (0.0, -1.0, 2.0):
        assert (beta * h).terms["t"].table.tolist() == [0.0, np.inf]
    slope = jax.grad(lambda beta: (beta * h)(jnp.array([0])))(1.0)
    assert slope == 0.0


def test_degree():
    assert two_terms().degree == 2
    assert Hamiltonian({}, space=SPIN, shape=(2,)).degree == 0
    expected = {
        "sites, a constant": 0,
        "sites, powers": 4,
        "stencil, anisotropic": 3,
        "stencil, mixed": 4,
        "dense": 2,
        "potential, shared": 2,
        "potential, hard": 4,
        "potential, triples": 3,
        "potential, vectors": 2,
        "potential, mixed": 3,
    }
    assert {name: SAMPLES[name].h.degree for name in expected} == expected


def test_number_of_parameters():
    expected = {
        "sites, one coefficient": 1,
        "sites, summed vectors": 2,
        "stencil, isotropic": 1,
        "stencil, anisotropic": 2,
        "stencil, disordered": 6,
        "dense, blocks": 6,
        "potential, shared": 4,
        "potential, triples": 16,
    }
    assert {name: SAMPLES[name].h.n_parameters for name in expected} == expected
    assert two_terms().n_parameters == 2


def test_equality_and_hash():
    assert two_terms() == two_terms()
    assert two_terms() != two_terms(site=0.3)
    assert two_terms() != 1
    reordered = Hamiltonian(dict(reversed(two_terms().terms.items())), space=SPIN, shape=(3,))
    assert reordered == two_terms()
    assert two_terms() != Hamiltonian(two_terms().terms, space=BINARY, shape=(3,))
    assert two_terms() != Hamiltonian({"bond": two_terms().terms["bond"]}, space=SPIN, shape=(3,))
    with pytest.raises(TypeError, match="unhashable"):
        hash(two_terms())


def test_repr_says_terms_space_and_shape():
    assert (
        repr(two_terms())
        == "Hamiltonian(bond: Sites, site: Sites; SPIN, shape (3,); weight exp(-H))"
    )


def test_an_empty_hamiltonian_is_zero():
    h = Hamiltonian({}, space=SPIN, shape=(2,))
    assert h(jnp.ones(2)) == 0.0
    assert h.potentials() == ()
    assert h.dtype == jnp.float64


def test_no_sites():
    h = Hamiltonian({"c": Sites(1.5, np.empty((1, 0), int))}, space=SPIN, shape=(0,))
    assert h(jnp.zeros(0)) == 1.5
    assert (h.n_sites, h.n_parameters) == (0, 1)


def test_single_precision():
    with jax.enable_x64(False):
        for name in ("dense, vectors", "all kinds, mixed"):
            sample = SAMPLES[name]
            h = jax.tree.map(lambda c: jnp.asarray(c, jnp.float32), sample.h)
            h = 2.0 * h + h
            assert h.dtype == jnp.float32
            energies = compiled(jax.vmap(h))(shaped(h, sample.states).astype(np.float32))
            assert energies.dtype == jnp.float32
            np.testing.assert_allclose(energies, 3 * sample.energies, rtol=2e-6, atol=2e-5)


@pytest.mark.parametrize("given", [(2,), (3, 1), (4, 3)])
def test_a_configuration_of_another_shape(given):
    with pytest.raises(ShapeError, match=rf"shape \(3,\), got .*{given[0]}.*vmap"):
        two_terms()(np.ones(given))


def test_components_belong_to_the_configuration():
    h = Hamiltonian({}, space=potts(3), shape=(2,))
    assert h.state_shape == (2, 3)
    with pytest.raises(ShapeError, match=r"\(2, 3\), got \(2,\)"):
        h(jnp.ones(2))


BUILD = [
    ({}, "SPIN", (2,), SpaceError, "SPIN"),
    ({}, SPIN, (2.5,), ShapeError, r"\(2\.5,\)"),
    ({}, SPIN, (-1,), ShapeError, r"\(-1,\)"),
    ({}, SPIN, 3, ShapeError, "got 3"),
    ({}, SPIN, ("a",), ShapeError, "'a'"),
    ({}, product([SPIN, BINARY]), (3,), ShapeError, "product of 2 spaces does not fit 3 sites"),
    ({"x": 1.0}, SPIN, (2,), PhysdlError, "'x'.*got float"),
    ({"x": Sites(1.0, [[0, 2]])}, SPIN, (2,), SupportError, "'x' acts on variable 2"),
    ({"x": Sites(1.0, [[0, -1]])}, SPIN, (2,), SupportError, "'x' acts on variable -1"),
    ({"x": Sites(1.0, [[6]])}, potts(3), (2,), SupportError, "variable 6.*3 components"),
    ({"x": Stencil(1.0, [[[0]]])}, SPIN, (2, 2), ShapeError, r"1 dimensions.*\(2, 2\)"),
    ({"x": Stencil([[1.0, 2.0]], [[[0]]])}, SPIN, (3,), ShapeError, r"shape \(2,\).*shape \(3,\)"),
    ({"x": Stencil(1.0, [[[0]]], [[2]])}, SPIN, (3,), SupportError, "component 2, but SPIN has 1"),
    ({"x": Stencil(1.0, [[[0]]], [[-1]])}, SPIN, (3,), SupportError, "component -1"),
    ({"x": Dense(np.eye(3))}, SPIN, (2,), ShapeError, "'x' couples 3 sites.*has 2"),
    ({"x": Dense(np.eye(2), (0, 2))}, SPIN, (3,), SupportError, "2 and 4.*3 sites"),
    ({"x": Potential([0.0, 1.0], [[3]])}, SPIN, (2,), SupportError, "'x' acts on site 3"),
    ({"x": Potential([0.0, 1.0], [[-1]])}, SPIN, (2,), SupportError, "'x' acts on site -1"),
    ({"x": Potential([0.0, 1.0, 2.0], [[1]])}, SPIN, (2,), ShapeError, "length 3 for site 1.*2 st"),
    ({"x": Potential([0.0, 1.0], [[0]])}, LINE, (2,), SpaceError, "'x'.*finite space, got LINE"),
    (
        {"x": Potential([0.0, 1.0], [[1]])},
        product([BINARY, levels(3)]),
        (2,),
        ShapeError,
        "length 2 for site 1.*3 states",
    ),
]


@pytest.mark.parametrize(("terms", "space", "shape", "error", "message"), BUILD)
def test_parts_that_do_not_fit_together(terms, space, shape, error, message):
    with pytest.raises(error, match=message):
        Hamiltonian(terms, space=space, shape=shape)


def test_hamiltonians_on_other_sites_do_not_add():
    other = Hamiltonian({}, space=BINARY, shape=(3,))
    with pytest.raises(PhysdlError, match=r"SPIN of shape \(3,\) and BINARY of shape \(3,\)"):
        two_terms() + other


@pytest.mark.parametrize("space", [LINE, sphere(2), product([SPIN, LINE])], ids=repr)
def test_tables_need_a_finite_space(space):
    with pytest.raises(SpaceError, match="finite space, got"):
        Hamiltonian({}, space=space, shape=(2,)).potentials()
