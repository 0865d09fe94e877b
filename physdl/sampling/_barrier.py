"""Values computed before what uses them: a boundary for XLA's fusion, where it respects one."""

from typing import TypeVar

import jax

__all__ = ["settled"]

T = TypeVar("T")


def settled(x: T) -> T:
    """x, computed before what follows, so that the loops before and after it stay apart.

    A gather or a shift that is fused into arithmetic may keep it from using vector instructions.
    """
    out: T = jax.lax.optimization_barrier(x)  # type: ignore[no-untyped-call]
    return out
