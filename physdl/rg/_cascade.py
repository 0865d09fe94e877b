"""What a cascade of block maps is checked for before anything is compiled."""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array

from physdl.errors import LatticeError, SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian
from physdl.rg import _moments
from physdl.rg._blocks import Triangles
from physdl.rg.block_spin import BlockMap
from physdl.rg.operators import OperatorBasis
from physdl.sampling._chains import positive

__all__ = ["planned"]


def planned(
    h: Hamiltonian,
    blocks: BlockMap | Sequence[BlockMap],
    even: OperatorBasis | None,
    odd: OperatorBasis | None,
    n_steps: int | None,
    scale: float | None,
) -> tuple[tuple[BlockMap, ...], tuple[OperatorBasis, ...], tuple[float, ...]]:
    """The maps of all steps, the bases and the scales, checked on the boxes of all levels."""
    if isinstance(blocks, Sequence):
        maps = _moments.as_modules(blocks)
        if not maps or n_steps not in (None, len(maps)):
            raise SettingError(f"{len(maps)} block maps were given for n_steps={n_steps}.")
    elif n_steps is None:
        raise SettingError("say how often the block map is applied: n_steps.")
    else:
        maps = _moments.as_modules([blocks]) * positive(n_steps, "n_steps")
    if any(isinstance(getattr(m, "blocks", None), Triangles) for m in maps):
        raise LatticeError(
            "three-site blocks turn the axes of the box, so the same offsets are other operators "
            "after a step: join Triangles() and Triangles(sheared=True) into one map of scale 3."
        )
    if h.space.event_shape != ():
        raise ShapeError(
            f"operators are products of numbers, one for each site, got configurations of "
            f"{h.space!r}."
        )
    bases = tuple(basis for basis in (even, odd) if basis is not None)
    if not bases or any(len(basis) == 0 for basis in bases):
        raise SettingError("give operators: even, odd or both, from operator_basis.")
    given = [getattr(m, "scale", None) if scale is None else scale for m in maps]
    scales = tuple(float(b) for b in given if b is not None and 1 < b < math.inf)
    if len(scales) < len(maps):
        raise SettingError(f"the length ratio of a step is a number above 1, got scale={scale}.")
    for box in _boxes(maps, h):
        for basis in bases:
            basis.check(box)
    return maps, bases, scales


def _boxes(maps: tuple[BlockMap, ...], h: Hamiltonian) -> list[tuple[int, ...]]:
    """The box of every level."""

    def levels(x: Array, key: Array) -> list[Array]:
        out = [x]
        for step in maps:
            out.append(step(out[-1], key=key))
        return out

    shapes = jax.eval_shape(lambda: levels(jnp.zeros(h.state_shape, h.dtype), jax.random.key(0)))
    return [s.shape for s in shapes]
