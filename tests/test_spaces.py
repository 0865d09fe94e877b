import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, SpaceError
from physdl.spaces import (
    BINARY,
    LINE,
    SPIN,
    Product,
    clock,
    embedded,
    finite,
    labels,
    levels,
    potts,
    product,
    sphere,
    spin,
    without,
)

POINTS = {
    SPIN: [[-1], [1]],
    BINARY: [[0], [1]],
    spin(0.5): [[-0.5], [0.5]],
    spin(1): [[-1], [0], [1]],
    spin(1.5): [[-1.5], [-0.5], [0.5], [1.5]],
    levels(1): [[0]],
    levels(4): [[0], [1], [2], [3]],
    potts(1): [[1]],
    potts(3): [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    clock(2): [[1, 0], [-1, 0]],
    clock(4): [[1, 0], [0, 1], [-1, 0], [0, -1]],
    finite([0.0, 2.0]): [[0], [2]],
    finite([[0, 1], [2, 3]]): [[0, 1], [2, 3]],
}


@pytest.mark.parametrize("space", POINTS, ids=repr)
def test_points(space):
    points = np.array(POINTS[space], dtype=float)
    np.testing.assert_array_equal(space.array, points)
    assert (space.n_states, space.n_components) == points.shape
    padded = space.padded(3)
    assert padded.shape == (3, *points.shape)
    np.testing.assert_array_equal(padded[2], points)
    assert space.at(5) is space


def test_clock_points_are_equally_spaced_on_the_circle():
    for q in (3, 5, 7, 12):
        x = clock(q).array
        angle = 2 * np.pi * np.subtract.outer(np.arange(q), np.arange(q)) / q
        np.testing.assert_allclose(x @ x.T, np.cos(angle), atol=1e-15)


def test_scalar_spaces_have_no_component_axis():
    for space in (SPIN, BINARY, spin(1), levels(3), finite([1.0, 2.0]), LINE):
        assert (space.event_shape, space.n_components) == ((), 1)
    for space, shape in ((potts(3), (3,)), (clock(5), (2,)), (sphere(3), (3,)), (potts(1), (1,))):
        assert space.event_shape == shape


def test_spaces_are_equal_by_their_points():
    assert levels(2) is BINARY
    assert spin(1) == spin(1)
    assert finite([-1.0, 1.0]) == SPIN
    assert finite([[-1.0], [1.0]]) != SPIN
    assert hash(finite([-1.0, 1.0], name="mine")) == hash(SPIN)
    assert sphere(2) == sphere(2) != sphere(3)
    assert len({SPIN, BINARY, LINE, sphere(2), spin(1), finite([-1.0, 1.0])}) == 5


def test_names():
    shown = [SPIN, BINARY, spin(1), spin(0.5), levels(3), potts(3), clock(4), LINE, sphere(2)]
    assert [repr(s) for s in shown] == [
        "SPIN",
        "BINARY",
        "spin(1)",
        "spin(0.5)",
        "levels(3)",
        "potts(3)",
        "clock(4)",
        "LINE",
        "sphere(2)",
    ]
    assert repr(finite([0.0, 2.0])) == "finite(2 points)"
    assert repr(finite([0.0, 2.0], name="two")) == "two"
    assert repr(product([SPIN, LINE, SPIN])) == "product of 3 sites of LINE, SPIN"


@pytest.mark.parametrize(
    ("n", "area"),
    [(2, 2 * math.pi), (3, 4 * math.pi), (4, 2 * math.pi**2), (5, 8 * math.pi**2 / 3)],
)
def test_area_of_the_sphere(n, area):
    assert sphere(n).log_volume == pytest.approx(math.log(area), abs=1e-14)


def test_product():
    mixed = product([SPIN, levels(3), LINE])
    assert isinstance(mixed, Product)
    assert [mixed.at(i) for i in range(3)] == [SPIN, levels(3), LINE]
    assert (mixed.event_shape, mixed.n_components) == ((), 1)
    assert product([SPIN, SPIN]) is SPIN
    assert product([LINE, LINE]) is LINE


def test_vectors_of_equal_length_can_be_mixed():
    mixed = product([potts(3), embedded(BINARY, 3)])
    assert (mixed.event_shape, mixed.n_components) == ((3,), 3)
    assert mixed.padded(2)[1].tolist() == [[0, 0, 0], [1, 0, 0], [np.inf] * 3]
    assert mixed.padded(2)[0].tolist() == np.eye(3).tolist()
    assert labels(mixed, jnp.array([[0.0, 1, 0], [1, 0, 0]])).tolist() == [1, 1]
    assert repr(embedded(BINARY, 3)) == "BINARY in R^3"


def test_points_that_are_missing_are_infinite():
    padded = product([SPIN, levels(3)]).padded(2)
    assert padded[..., 0].tolist() == [[-1.0, 1.0, np.inf], [0.0, 1.0, 2.0]]
    assert product([]).padded(0).shape == (0, 1, 1)
    with pytest.raises(SpaceError, match=r"finite space.*LINE, SPIN"):
        product([SPIN, LINE]).padded(2)


def test_labels_are_the_numbers_of_the_points():
    for space in POINTS:
        assert labels(space, jnp.asarray(space.array)).tolist() == list(range(space.n_states))
    mixed = product([SPIN, levels(3), BINARY])
    given = jax.jit(lambda x: labels(mixed, x))(jnp.array([[1.0], [2.0], [0.0]]))
    assert given.tolist() == [1, 2, 0]


def test_the_space_of_the_sites_that_remain():
    mixed = product([SPIN, levels(3), BINARY, SPIN])
    assert without(mixed, np.array([1])) == product([SPIN, BINARY, SPIN])
    assert without(mixed, np.array([2, 1])) is SPIN
    assert without(potts(3), np.array([0])) == potts(3)
    assert without(LINE, np.array([0])) is LINE


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: finite([]), SettingError, r"at least one point, got \[\]"),
        (lambda: finite([1.0, 1.0]), SettingError, r"must differ, got \[1\.0, 1\.0\]"),
        (lambda: finite([[0, 1], [0, 1]]), SettingError, "must differ"),
        (lambda: finite([[0, 1], [0]]), SettingError, r"equal length, got \[\[0, 1\], \[0\]\]"),
        (lambda: finite(["a"]), SettingError, r"numbers or vectors.*'a'"),
        (lambda: finite([0.0, np.inf]), SettingError, r"finite numbers, got \[0\.0, inf\]"),
        (lambda: finite([[[0.0]]]), SettingError, r"got \[\[\[0\.0\]\]\]"),
        (lambda: spin(0), SettingError, "got 0"),
        (lambda: spin(0.3), SettingError, r"got 0\.3"),
        (lambda: spin(-1), SettingError, "got -1"),
        (lambda: levels(0), SettingError, r"levels\(q\) needs an integer q >= 1, got 0"),
        (lambda: potts(2.5), SettingError, r"potts\(q\) .* got 2\.5"),
        (lambda: clock(1), SettingError, r"clock\(q\) .* q >= 2, got 1"),
        (lambda: sphere(1), SettingError, "integer q >= 2, got 1"),
        (lambda: product([SPIN, potts(3)]), SpaceError, r"site 1 has potts\(3\).*levels"),
        (lambda: product([clock(4), potts(3)]), SpaceError, "vectors of equal length"),
        (lambda: product([sphere(3), sphere(3)]), SpaceError, r"sphere\(3\)"),
        (lambda: embedded(potts(3), 3), SpaceError, r"numbers .*potts\(3\)"),
        (lambda: embedded(LINE, 3), SpaceError, "LINE"),
        (lambda: embedded(SPIN, 0), SettingError, "got 0"),
    ],
)
def test_spaces_that_do_not_exist(make, error, message):
    with pytest.raises(error, match=message):
        make()
