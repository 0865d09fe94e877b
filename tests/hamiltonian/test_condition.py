import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from samples import SAMPLES, compiled

from physdl.errors import ShapeError, SupportError
from physdl.hamiltonian import Hamiltonian, Potential, Sites, Stencil
from physdl.spaces import BINARY, LINE, SPIN, clock, levels, potts, product, sphere


@pytest.mark.parametrize("name", SAMPLES)
def test_energies_of_the_rest(name):
    """Fixed, traced values: one compilation for every value of the first and last sites."""
    sample = SAMPLES[name]
    n, event = sample.h.n_sites, sample.h.space.event_shape
    fixed, rest = (n - 1, 0), list(range(1, n - 1))
    labels = oracle.all_labels([sample.points[i] for i in rest]) if rest else np.zeros((1, 0), int)
    states = oracle.states_of([sample.points[i] for i in rest], labels)

    @compiled
    def conditioned(h, last, first, x):
        return jax.vmap(h.condition({fixed[0]: last, fixed[1]: first}))(x)

    everything = dict(zip(map(tuple, sample.labels.tolist()), sample.energies, strict=True))
    for last, first in [(0, 0), (1, 0), (len(sample.points[-1]) - 1, len(sample.points[0]) - 1)]:
        values = [
            np.array(sample.points[i][s], dtype=float).reshape(event)
            for i, s in ((n - 1, last), (0, first))
        ]
        expected = [everything[first, *row, last] for row in labels.tolist()]
        x = states.reshape(len(labels), n - 2, *event)
        np.testing.assert_allclose(conditioned(sample.h, *values, x), expected, atol=1e-12)


def test_known_values_and_renumbering():
    h = Hamiltonian(
        {"t": Sites([1.0, 10.0, 100.0], [[0, 1], [1, 3], [3, 3]])}, space=SPIN, shape=(2, 2)
    )
    rest = h.condition({1: -1})
    assert rest.shape == (3,)
    assert rest(jnp.array([1.0, 1.0, -1.0])) == -1.0 + 10.0 + 100.0
    assert h.condition({})(jnp.array([1.0, 1.0, 1.0, 1.0])) == 111.0


def test_all_sites():
    sample = SAMPLES["all kinds, mixed"]
    index = int(np.argmax(np.isfinite(sample.energies)))
    values = dict(enumerate(sample.states[index, :, 0]))
    rest = compiled(lambda h: h.condition(values))(sample.h)
    assert rest.shape == (0,)
    assert float(rest(jnp.zeros(0))) == pytest.approx(sample.energies[index], abs=1e-13)


def test_one_site_after_the_other_is_both_at_once():
    sample = SAMPLES["sites, spins"]
    x = oracle.states_of(sample.points[:3], oracle.all_labels(sample.points[:3]))[..., 0]
    twice, once = compiled(
        lambda h, x: [
            jax.vmap(rest)(x)
            for rest in (h.condition({1: 1}).condition({2: -1}), h.condition({3: -1, 1: 1}))
        ]
    )(sample.h, x)
    np.testing.assert_allclose(twice, once, atol=1e-14)


def test_names_of_split_terms_do_not_collide():
    terms = {"a": Sites([1.0, 2.0], [[0, 1], [1, 2]]), "a|1": Sites(4.0, [[2]])}
    h = Hamiltonian(terms, space=SPIN, shape=(3,)).condition({0: 1})
    assert len(h.terms) == 3
    assert h(jnp.array([1.0, -1.0])) == 1.0 - 2.0 - 4.0


@pytest.mark.parametrize("space", [LINE, sphere(2), product([LINE, BINARY, LINE])], ids=repr)
def test_continuous_spaces(space):
    c = space.n_components
    table = [[0, 1 * c, 2 * c], [0, c - 1, 3 * c - 1]]
    h = Hamiltonian({"t": Sites([0.5, 0.25], table)}, space=space, shape=(3,))
    x = np.random.default_rng(2).normal(size=(4, 3, c))
    x /= np.linalg.norm(x, axis=-1, keepdims=True) if c > 1 else 1
    expected = oracle.energies(x, oracle.sites_monomials([0.5, 0.25], table, c))
    event = (4, 1, c) if c > 1 else (4, 1)
    conditioned = jax.vmap(lambda a, b, y: h.condition({0: a, 2: b})(y))
    fixed = x if c > 1 else x[..., 0]
    np.testing.assert_allclose(
        conditioned(fixed[:, 0], fixed[:, 2], x[:, 1].reshape(event)), expected, atol=1e-14
    )


def test_derivative_with_respect_to_a_fixed_value():
    h = Hamiltonian({"t": Sites(1.0, [[0, 0, 1]])}, space=LINE, shape=(2,))
    slope = jax.grad(lambda v: h.condition({0: v})(jnp.array([5.0])))(3.0)
    assert slope == 30.0


def test_space_of_the_rest():
    h = Hamiltonian({}, space=product([SPIN, levels(3), SPIN]), shape=(3,))
    assert h.condition({1: 2}).space == SPIN
    assert h.condition({0: 1}).space == product([levels(3), SPIN])


def test_single_precision():
    with jax.enable_x64(False):
        h = Hamiltonian(
            {"s": Stencil(0.1, [[[0], [1]]]), "p": Potential([0.0, 0.3], [[2]])},
            space=SPIN,
            shape=(4,),
        )
        rest = h.condition({0: 1, 2: 1})
        assert rest.dtype == jnp.float32
        assert float(rest(jnp.ones(2))) == pytest.approx(0.7, abs=1e-6)


WRONG = [
    (SPIN, {4: 1}, SupportError, r"site 4 does not exist.*3 sites"),
    (SPIN, {-1: 1}, SupportError, "site -1 does not exist"),
    (SPIN, {0.5: 1}, SupportError, r"sites are integers, got \[0\.5\]"),
    (SPIN, {0: 0}, SupportError, r"site 0 cannot have the value 0\.0.*SPIN"),
    (SPIN, {0: np.nan}, SupportError, "value nan"),
    (levels(3), {1: 3}, SupportError, r"value 3\.0.*levels\(3\)"),
    (product([SPIN, BINARY, SPIN]), {1: -1}, SupportError, "site 1 .*BINARY"),
    (potts(3), {1: [1, 1, 0]}, SupportError, r"\[1\.0, 1\.0, 0\.0\].*potts\(3\)"),
    (potts(3), {1: 2}, ShapeError, r"site 1 has shape \(3,\), got \(\)"),
    (clock(4), {1: [1, 0, 0]}, ShapeError, r"shape \(2,\), got \(3,\)"),
    (SPIN, {1: [1]}, ShapeError, r"shape \(\), got \(1,\)"),
]


@pytest.mark.parametrize(("space", "values", "error", "message"), WRONG)
def test_sites_and_values_that_do_not_exist(space, values, error, message):
    with pytest.raises(error, match=message):
        Hamiltonian({}, space=space, shape=(3,)).condition(values)


def test_the_shape_of_a_traced_value_is_checked():
    h = Hamiltonian({}, space=potts(3), shape=(2,))
    with pytest.raises(ShapeError, match=r"\(3,\), got \(\)"):
        compiled(lambda v: h.condition({0: v}).n_sites)(1.0)
