r"""Stacks of restricted Boltzmann machines: a configuration, its hidden units, theirs, and so on.

Each machine is trained on the hidden units of the one below (G. E. Hinton and R. R. Salakhutdinov,
Science 313, 504 (2006)), and so a configuration is coarse-grained level by level,

    h^(1) ~ p_1(h | v),   h^(2) ~ p_2(h | h^(1)),   ...

which P. Mehta and D. J. Schwab (arXiv:1410.3831) proposed as a renormalization group. Machine l,
of energy E_l, and the Hamiltonian H_(l-1) of the level below stand for the kernel T_l = H_(l-1) -
E_l, whose coarse Hamiltonian H_l is that of the hidden units whatever the weights. What tells
whether a step is exact is its trace, R_l = log Tr_h exp(T_l) = H_(l-1) - F_l with F_l the free
energy of the machine (``theory.audit``).

Convention: a stack is a block map, ``stack(x, key=key)``, as ``rg.Majority`` is one; its input may
have the shape of a lattice, its output is a vector of units, which know no place on one. What they
look at is their receptive field, r^(l) = W_1 W_2 ... W_l.
"""

import functools
import itertools
import operator

import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError, SpaceError
from physdl.networks.boltzmann import RBM
from physdl.pytree import module
from physdl.sampling import _random as random

__all__ = ["BoltzmannStack", "participation"]


@cites("hinton2006")
@module
class BoltzmannStack:
    """Machines of which each has the hidden units of the one below as its visible ones.

    Attributes:
      machines: from the lattice upward.

    Raises:
      SettingError: there is no machine.
      ShapeError: a machine has another number of visible units than the one below has hidden ones.
      SpaceError: these are of another space; or the visible units of the first are vectors.

    >>> import jax
    >>> up = RBM.initial(16, 4, key=jax.random.key(0))
    >>> stack = BoltzmannStack((up, RBM.initial(4, 2, key=jax.random.key(1))))
    >>> stack(jnp.ones((4, 4)), key=jax.random.key(2)).shape, stack.compression
    ((2,), 8.0)
    """

    machines: tuple[RBM, ...]

    def __init__(self, machines: tuple[RBM, ...]):
        if not machines:
            raise SettingError("a stack consists of one machine or more, got none.")
        if machines[0].visible.event_shape:
            raise SpaceError(
                f"the visible units of a stack are numbers, got {machines[0].visible!r}."
            )
        for level, (below, above) in enumerate(itertools.pairwise(machines), start=1):
            if below.n_hidden != above.n_visible:
                raise ShapeError(
                    f"machine {level} has {below.n_hidden} hidden units, so the one above has as "
                    f"many visible ones, got {above.n_visible}."
                )
            if below.hidden != above.visible:
                raise SpaceError(
                    f"the hidden units of machine {level} are {below.hidden!r}, so are the visible "
                    f"ones above it, got {above.visible!r}."
                )
        object.__setattr__(self, "machines", tuple(machines))

    @property
    def compression(self) -> float:
        """Visible units over units of the last level."""
        return self.machines[0].n_visible / self.machines[-1].n_hidden

    @property
    def receptive_fields(self) -> tuple[Float[Array, "n_visible n_units"], ...]:
        """r^(l) = W_1 ... W_l of every level: column k is what unit k looks at."""
        return tuple(itertools.accumulate((m.weights for m in self.machines), operator.matmul))

    def __call__(
        self, x: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> Float[Array, " n_units"]:
        """The units of the last level, drawn level by level."""
        return self.levels(x, key=key)[-1]

    def levels(
        self, x: Float[Array, "*shape"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, " n_units"], ...]:
        """The units of every level, drawn upward from one configuration.

        Raises:
          ShapeError: the configuration has another number of sites.
        """
        first = self.machines[0]
        if x.size != first.n_visible:
            raise ShapeError(
                f"the stack takes a configuration of {first.n_visible} sites, got the shape "
                f"{x.shape}."
            )
        drawn, below = [], x.reshape(-1)
        for machine, level_key in zip(self.machines, self._keys(key), strict=True):
            below = machine.sample_hidden(below, key=level_key)
            drawn.append(below)
        return tuple(drawn)

    def reconstruct(
        self, units: Float[Array, " n_units"], *, key: Key[Array, ""]
    ) -> Float[Array, " n_visible"]:
        """A configuration drawn downward from the units of the last level."""
        down = zip(reversed(self.machines), self._keys(key), strict=True)
        draw = lambda above, step: step[0].sample_visible(above, key=step[1])
        return functools.reduce(draw, down, units)

    def _keys(self, key: Key[Array, ""]) -> Key[Array, " n_levels"]:
        return random.split(key, len(self.machines))


def participation(field: Float[Array, "n_visible n_units"]) -> Float[Array, " n_units"]:
    """How many sites each unit looks at: (sum_i r_i^2)^2 / sum_i r_i^4, from 1 to n_visible.

    >>> participation(jnp.array([[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]])).tolist()
    [1.0, 2.0]
    """
    square = field**2
    return jnp.sum(square, axis=0) ** 2 / jnp.sum(square**2, axis=0)
