"""The kernel contract: ``kernel(h, state, *, key) -> (state, info)``.

A kernel is a frozen dataclass of settings with one pure call that leaves exp(-H) / Z invariant. For
most kernels the state is one configuration of shape ``h.state_shape``; many chains are ``jax.vmap``
outside. A kernel that moves several configurations together (spins packed in words, replicas at
many temperatures) is an ``EnsembleKernel``: it says how its state is built from configurations and
which of them follow ``h``.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from physdl.errors import SettingError
from physdl.hamiltonian import Hamiltonian
from physdl.pytree import module
from physdl.sampling import _random as random
from physdl.spaces import BINARY, Finite, Product, Sphere

__all__ = [
    "Cycle",
    "EnsembleKernel",
    "Info",
    "Kernel",
    "configurations",
    "n_replicas",
    "random_configuration",
    "start",
]

SMALL = 0.1

Info: TypeAlias = dict[str, Array]


@runtime_checkable
class Kernel(Protocol):
    """Anything callable as below. Settings are fields; the call is pure."""

    def __call__(self, h: Hamiltonian, state: Any, *, key: Key[Array, ""]) -> tuple[Any, Info]:
        """One sweep: the next state, and scalars that say how it went (``"acceptance"``, ...)."""
        ...


@runtime_checkable
class EnsembleKernel(Kernel, Protocol):
    """A kernel whose state holds several configurations."""

    @property
    def n_replicas(self) -> int:
        """How many configurations a state is built from."""
        ...

    def init(self, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""]) -> Any:
        """The state made of ``n_replicas`` configurations."""
        ...

    def configurations(self, h: Hamiltonian, state: Any) -> Float[Array, "n ..."]:
        """The configurations of a state that are distributed as exp(-h)."""
        ...


def n_replicas(kernel: Kernel) -> int:
    """How many configurations a state of this kernel is built from."""
    return kernel.n_replicas if isinstance(kernel, EnsembleKernel) else 1


def start(kernel: Kernel, h: Hamiltonian, x: Float[Array, "n ..."], *, key: Key[Array, ""]) -> Any:
    """A state from ``n_replicas(kernel)`` configurations."""
    return kernel.init(h, x, key=key) if isinstance(kernel, EnsembleKernel) else x[0]


def configurations(kernel: Kernel, h: Hamiltonian, state: Any) -> Float[Array, "n ..."]:
    """The configurations of a state that are distributed as exp(-h)."""
    return kernel.configurations(h, state) if isinstance(kernel, EnsembleKernel) else state[None]


def random_configuration(h: Hamiltonian, *, key: Key[Array, ""]) -> Float[Array, "*state"]:
    """Sites drawn independently: uniform on finite spaces and spheres, 0.1 normal on the line.

    Near zero gradients are small on the line, so that a trajectory may start there with the step of
    equilibrium.

    >>> from physdl import lattices, models
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> random_configuration(h, key=jax.random.key(0)).shape
    (4, 4)
    """
    shape, space = h.state_shape, h.space
    if isinstance(space, Finite):
        label = random.integers(key, h.shape, space.n_states)
        return random.chosen(jnp.asarray(space.array, h.dtype), label).reshape(shape)
    if isinstance(space, Product):
        normal_key, label_key = random.split(key)
        normal = SMALL * random.normal(normal_key, shape, h.dtype)
        finite = np.array([isinstance(s, Finite) for s in space.spaces])
        of_finite = [s if f else BINARY for s, f in zip(space.spaces, finite, strict=True)]
        points = jnp.asarray(Product(tuple(of_finite)).padded(h.n_sites), h.dtype)
        u = random.uniform(label_key, (h.n_sites,), h.dtype)
        n_states = jnp.sum(jnp.isfinite(points[..., 0]), axis=1)
        label = (u * n_states.astype(u.dtype)).astype(jnp.int32)
        drawn = random.chosen(points, label).reshape(shape)
        of_site = np.repeat(finite, space.n_components).reshape(shape)
        return jnp.where(of_site, drawn, normal)
    x = random.normal(key, shape, h.dtype)
    if isinstance(space, Sphere):
        unit: Array = x / jnp.linalg.norm(x, axis=-1, keepdims=True)
        return unit
    return SMALL * x


@module
class Cycle:
    """Several kernels in turn, each leaving the same distribution invariant.

    A non-ergodic move (overrelaxation, a cluster flip in a confined sector) becomes ergodic in a
    cycle with one that is.

    Attributes:
      kernels: kernels whose state is one configuration.

    Raises:
      SettingError: there is none, or one of them moves several configurations.

    >>> from physdl import lattices, models, sampling
    >>> h = models.ising(lattices.square(4, 4), 0.4)
    >>> moves = sampling.Cycle((sampling.Wolff(), sampling.HeatBath()))
    >>> x, info = moves(h, jnp.ones((4, 4)), key=jax.random.key(0))
    >>> x.shape
    (4, 4)
    """

    kernels: tuple[Kernel, ...]

    def __init__(self, kernels: Sequence[Kernel]):
        given = tuple(kernels)
        if not given or any(isinstance(k, EnsembleKernel) for k in given):
            names = ", ".join(type(k).__name__ for k in given)
            raise SettingError(
                f"a cycle takes one or more kernels that move one configuration, got ({names})."
            )
        object.__setattr__(self, "kernels", given)

    def __call__(
        self, h: Hamiltonian, state: Float[Array, "*state"], *, key: Key[Array, ""]
    ) -> tuple[Float[Array, "*state"], Info]:
        """One call of each; what they report is named ``Kernel.name``."""
        info: Info = {}
        for kernel, own in zip(self.kernels, jax.random.split(key, len(self.kernels)), strict=True):
            state, said = kernel(h, state, key=own)
            info.update({f"{type(kernel).__name__}.{name}": v for name, v in said.items()})
        return state, info
