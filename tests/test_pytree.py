import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.pytree import Table, is_traced, module, static


@module
class Line:
    """y = slope x + offset, raised to a power."""

    slope: float
    offset: float
    power: int = static(default=1)

    def __post_init__(self):
        assert isinstance(self.slope, float), f"slope must be a float, got {self.slope!r}"

    def __call__(self, x):
        return (self.slope * x + self.offset) ** self.power


@module
class Label:
    name: str = static()
    remark: str = static(default="", compare=False)


def test_data_are_leaves_and_structure_is_not():
    leaves, structure = jax.tree.flatten(Line(2.0, 3.0, power=4))
    assert leaves == [2.0, 3.0]
    assert jax.tree.unflatten(structure, [5.0, 6.0]) == Line(5.0, 6.0, power=4)
    assert structure != jax.tree.structure(Line(2.0, 3.0, power=5))


def test_gradient_is_again_a_module():
    slope = jax.grad(lambda line: line(5.0))(Line(2.0, 3.0, power=2))
    assert slope == Line(2 * 13.0 * 5.0, 2 * 13.0, power=2)


def test_validation_runs_on_building_and_never_inside_a_transform():
    with pytest.raises(AssertionError, match="got 2"):
        Line(2, 3.0)
    seen = []

    @jax.jit
    def evaluate(line):
        seen.append(type(line.slope))
        return line(1.0)

    assert evaluate(Line(2.0, 3.0)) == 5.0
    assert not issubclass(seen[0], float)
    assert jax.tree.map(lambda _: None, Line(2.0, 3.0)).slope is None
    many = jax.tree.map(lambda *v: jnp.stack(v), Line(1.0, 0.0), Line(2.0, 0.0))
    assert jax.vmap(lambda line: line(3.0))(many).tolist() == [3.0, 6.0]


def test_structure_recompiles_and_data_do_not():
    traces = []

    @jax.jit
    def evaluate(line):
        traces.append(line.power)
        return line(1.0)

    for line in (Line(1.0, 1.0), Line(2.0, 2.0), Line(1.0, 1.0, power=2), Line(3.0, 1.0)):
        evaluate(line)
    assert traces == [1, 2]


def test_paths_name_the_fields():
    leaves = jax.tree.leaves_with_path(Line(1.0, 2.0))
    assert [jax.tree_util.keystr(path) for path, _ in leaves] == [".slope", ".offset"]


def test_modules_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Line(1.0, 2.0).slope = 3.0


def test_equality_compares_structure_and_values():
    assert Line(1.0, 2.0) == Line(1.0, 2.0)
    assert Line(1.0, 2.0) != Line(1.0, 3.0)
    assert Line(1.0, 2.0) != Line(1.0, 2.0, power=2)
    assert Line(1.0, 2.0) != (1.0, 2.0, 1)
    arrays = Line(1.0, 2.0), Line(1.0, 2.0)
    a, b = (jax.tree.map(lambda v: v * np.ones(3), line) for line in arrays)
    assert a == b
    assert a != jax.tree.map(lambda v: v * np.ones(2), arrays[0])
    assert a != jax.tree.map(lambda v: v + np.arange(3), arrays[0])


def test_only_modules_without_data_are_hashable():
    with pytest.raises(TypeError, match="unhashable"):
        hash(Line(1.0, 2.0))
    assert len({Label("a"), Label("a"), Label("b")}) == 2
    assert Label("a", remark="x") == Label("a", remark="y")
    assert hash(Label("a", remark="x")) == hash(Label("a", remark="y"))


def test_tables_compare_and_hash_by_value():
    a, b = Table([[0, 1], [1, 2]]), Table(np.array([[0, 1], [1, 2]], np.int8))
    assert a == a
    assert a == b
    assert hash(a) == hash(b)
    assert a != Table([[0, 1], [1, 3]])
    assert a != Table([[0, 1, 1, 2]])
    assert Table([]) != Table([[]])
    assert a != [[0, 1], [1, 2]]
    assert repr(a) == "Table(shape=(2, 2))"


def test_tables_are_immutable_copies():
    source = np.array([1, 2, 3])
    table = Table(source)
    source[0] = 7
    assert table.array.tolist() == [1, 2, 3]
    assert table.array.dtype == np.int32
    with pytest.raises(ValueError, match="read-only"):
        table.array[0] = 5


def test_is_traced():
    assert not is_traced(Line(1.0, 2.0))
    found = []
    jax.jit(lambda line: found.append((is_traced(line), is_traced(1.0))))(Line(1.0, 2.0))
    assert found == [(True, False)]
