r"""The bond between two sites of a finite space, in a basis of couplings.

    -E(s, s') = c + sum_a k_a phi_a(s, s'),

with phi_a symmetric functions of the two states, tabulated as q x q matrices. The invariant ones
depend on |s|^2, |s'|^2 and s . s' alone: as many as the isometries of the space leave apart, so
they are closed under summing out a site between two bonds. In this basis the couplings are the
field's own:

| space | couplings |
|---|---|
| ``SPIN`` | K of K s s' |
| ``potts(q)`` | K of K delta(s, s') |
| ``clock(q)`` | K_m of K_m cos(m (theta - theta')), m = 1, ..., q // 2 |
| ``spin(1)`` | J of s s', K of s^2 s'^2, and the share of the crystal field, s^2 + s'^2 |

``field=True`` adds all other symmetric functions, first s + s': a field on the sites, of which
every bond carries its share (1 / (2 d) of the field of a site on a hypercubic lattice).
"""

from collections.abc import Iterable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from numpy.typing import NDArray

from physdl.errors import SpaceError
from physdl.pytree import module, static
from physdl.spaces import Finite, Space

__all__ = ["Bond", "bond"]

MAX_STATES = 64


@module
class Bond:
    """A basis of the energies of a bond.

    Attributes:
      functions: phi_a as tables, [n_couplings, q, q].
      names: what each coupling multiplies.
    """

    functions: Float[Array, "n q q"]
    names: tuple[str, ...] = static()

    @property
    def n_states(self) -> int:
        """The number q of states of a site."""
        return int(self.functions.shape[-1])

    def log_weights(self, couplings: Float[Array, " n"]) -> Float[Array, "q q"]:
        """sum_a k_a phi_a: the logarithm of the weight of a bond, without the constant."""
        return jnp.einsum("a,ast->st", couplings, self.functions.astype(couplings.dtype))

    def couplings(
        self, log_weights: Float[Array, "q q"]
    ) -> tuple[Float[Array, " n"], Float[Array, ""], Float[Array, ""]]:
        """The couplings k, the constant c, and what is left: the largest |residual|.

        The fit is by least squares over all pairs of states, exact where the functions span.
        """
        ones = np.ones((1, self.n_states, self.n_states))
        basis = jnp.concatenate([jnp.asarray(ones), jnp.asarray(self.functions)])
        matrix = basis.reshape(len(basis), -1).astype(log_weights.dtype)
        target = log_weights.reshape(-1)
        q, r = jnp.linalg.qr(matrix.T)
        found = jax.scipy.linalg.solve_triangular(r, q.T @ target)
        left = jnp.max(jnp.abs(target - found @ matrix))
        return found[1:], found[0], left


def bond(space: Space, *, field: bool = False) -> Bond:
    """The basis of bonds between sites of a finite space.

    Raises:
      SpaceError: the space is not finite and equal on all sites, or has more than 64 states.

    >>> from physdl import spaces
    >>> bond(spaces.SPIN).names, bond(spaces.SPIN, field=True).names
    (("s.s'",), ("s.s'", "s + s'"))
    >>> bond(spaces.clock(6)).names
    ("s.s'", 'cos 2t', 'cos 3t')
    >>> bond(spaces.spin(1)).names
    ("s.s'", "(s.s')^2", "|s|^2 + |s'|^2")
    """
    if not isinstance(space, Finite):
        raise SpaceError(f"a bond is tabulated on a finite space, got {space!r}: use clock(q).")
    if space.n_states > MAX_STATES:
        raise SpaceError(
            f"a bond is tabulated for at most {MAX_STATES} states, got {space.n_states}."
        )
    points = space.array
    gram = np.round(points @ points.T, 12)
    square = np.diag(gram)[:, None] + np.zeros_like(gram)
    wanted = _n_classes(square, gram) - 1
    chosen = _independent(_invariants(square, gram), wanted)
    if field:
        q = space.n_states
        chosen = _independent([*chosen, *_symmetric(points)], q * (q + 1) // 2 - 1)
    return Bond(jnp.asarray(np.array([table for _, table in chosen])), tuple(n for n, _ in chosen))


Named = tuple[str, NDArray[np.float64]]


def _n_classes(square: NDArray[np.float64], gram: NDArray[np.float64]) -> int:
    low, high = np.minimum(square, square.T), np.maximum(square, square.T)
    pairs = np.round(np.stack([low, high, gram], axis=-1), 9).reshape(-1, 3)
    return len(np.unique(pairs, axis=0))


def _invariants(square: NDArray[np.float64], gram: NDArray[np.float64]) -> Iterator[Named]:
    unit = np.allclose(square, 1)
    yield "s.s'", gram
    for n in range(2, len(gram) + 1):
        if unit:
            yield f"cos {n}t", np.cos(n * np.arccos(np.clip(gram, -1, 1)))
        else:
            yield f"(s.s')^{n}", gram**n
            yield _name(n, 0), square ** (n // 2) + square.T ** (n // 2)
    for m in range(1, len(gram) + 1):
        for k in range(len(gram) + 1):
            yield _name(2 * m, k), (square**m + square.T**m) * gram**k
            yield f"|s|^{2 * m} |s'|^{2 * m}", square**m * square.T**m


def _name(n: int, k: int) -> str:
    sides = f"|s|^{n} + |s'|^{n}"
    return sides if k == 0 else f"({sides}) (s.s')^{k}"


def _symmetric(points: NDArray[np.float64]) -> Iterator[Named]:
    q, c = points.shape
    for a in range(c):
        side = points[:, a][:, None] + np.zeros((q, q))
        yield ("s + s'" if c == 1 else f"s_{a} + s'_{a}"), side + side.T
    for i in range(q):
        for j in range(i, q):
            table = np.zeros((q, q))
            table[i, j] = table[j, i] = 1
            yield f"states {i}, {j}", table


def _independent(candidates: Iterable[Named], wanted: int) -> list[Named]:
    """The first candidates that are independent of each other and of a constant."""
    chosen: list[Named] = []
    directions: list[NDArray[np.float64]] = []
    for name, table in candidates:
        rest = table.reshape(-1) - np.mean(table)
        for _ in range(2):
            for direction in directions:
                rest = rest - (rest @ direction) * direction
        size = np.linalg.norm(rest)
        if size > 1e-8 * np.linalg.norm(table):
            directions.append(rest / size)
            chosen.append((name, table))
        if len(chosen) == wanted:
            break
    return chosen
