"""Frozen dataclasses that ``jax.jit``, ``jax.grad`` and ``jax.vmap`` understand.

Every noun of physdl is declared with ``@module``. A plain field is *data* (a leaf: traced,
differentiated, batched); a field declared ``static()`` is *structure* (hashed, compared, and a
reason to recompile). There is no other registration mechanism in the package.

Consequence: the gradient of a number with respect to a Hamiltonian is again a Hamiltonian, a batch
of Hamiltonians is one Hamiltonian with an extra axis on its leaves, and two calls with equal
structure share one compilation.
"""

import dataclasses
from typing import Any, TypeAlias, TypeVar, dataclass_transform

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["IntArray", "Table", "is_traced", "module", "static"]

T = TypeVar("T")
IntArray: TypeAlias = NDArray[np.integer[Any]]


def static(**kwargs: Any) -> Any:
    """Declare a field as structure: hashable, never traced."""
    return dataclasses.field(metadata={"static": True}, **kwargs)


def _equal(a: Any, b: object) -> bool:
    if type(a) is not type(b):
        return False
    leaves_a, structure_a = jax.tree.flatten(a)
    leaves_b, structure_b = jax.tree.flatten(b)
    structures: list[object] = [structure_a, structure_b]
    return structures[0] == structures[1] and all(
        np.array_equal(x, y) for x, y in zip(leaves_a, leaves_b, strict=True)
    )


@dataclass_transform(frozen_default=True, field_specifiers=(static,))
def module(cls: type[T]) -> type[T]:
    """Make ``cls`` a frozen dataclass and a pytree node.

    Building runs ``__init__`` and ``__post_init__``. Rebuilding inside a jax transform runs
    neither, because there the fields hold tracers, ``None`` or batched arrays: so
    ``__post_init__`` may validate what the user passed. ``==`` compares structure and values;
    a module with data is not hashable, as its arrays are not.

    >>> @module
    ... class Scale:
    ...     by: float
    ...     power: int = static(default=1)
    >>> jax.tree.map(lambda v: 2 * v, Scale(3.0, power=2))
    Scale(by=6.0, power=2)
    """
    cls = dataclasses.dataclass(frozen=True)(cls)
    fields = dataclasses.fields(cls)  # type: ignore[arg-type]
    data = tuple(f.name for f in fields if not f.metadata.get("static"))
    structure = tuple(f.name for f in fields if f.metadata.get("static"))
    if data:
        cls.__eq__ = _equal  # type: ignore[method-assign]
        cls.__hash__ = None  # type: ignore[method-assign, assignment]

    def flatten(node: Any) -> tuple[list[Any], tuple[Any, ...]]:
        return [getattr(node, n) for n in data], tuple(getattr(node, n) for n in structure)

    def flatten_with_keys(node: Any) -> tuple[list[tuple[Any, Any]], tuple[Any, ...]]:
        leaves, aux = flatten(node)
        return list(zip(map(jax.tree_util.GetAttrKey, data), leaves, strict=True)), aux

    def unflatten(aux: tuple[Any, ...], leaves: Any) -> Any:
        node = object.__new__(cls)
        for name, value in zip(data + structure, (*leaves, *aux), strict=True):
            object.__setattr__(node, name, value)
        return node

    jax.tree_util.register_pytree_with_keys(cls, flatten_with_keys, unflatten, flatten)
    return cls


class Table:
    """An integer array usable as structure: immutable, hashed once, compared by value.

    >>> Table([[0, 1], [1, 2]]) == Table([[0, 1], [1, 2]])
    True
    """

    def __init__(self, values: ArrayLike):
        array = np.array(values, dtype=np.int32)
        array.flags.writeable = False
        self.array: NDArray[np.int32] = array
        self._hash = hash((array.shape, array.tobytes()))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return (
            isinstance(other, Table)
            and self._hash == other._hash
            and np.array_equal(self.array, other.array)
        )

    def __repr__(self) -> str:
        return f"Table(shape={self.array.shape})"


def is_traced(tree: Any) -> bool:
    """Whether any leaf of ``tree`` is a tracer, i.e. has no value yet."""
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(tree))
