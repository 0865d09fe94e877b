r"""What every coarse-graining of tensors shares: the contract, the history, sums of what came out.

A lattice model is a network of equal tensors T, one a site (or a few sites), whose legs are summed
along the bonds. A scheme replaces a group of b^d of them by one,

    Z(T, N) = exp(log_norm N / b^d) Z(T', N / b^d),

approximately: the bond dimension is cut to chi. The factor taken out makes the Frobenius norm of T'
one, so log Z per tensor of the first lattice is sum_n log_norm_n / b^(d n) and what remains.
Tensors have the legs [x-, x+, y-, y+, ...], minus before plus along every axis.

What is renormalized may be more than one array (bond weights, say): any pytree.
"""

import functools
import math
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.pytree import module
from physdl.tensors._factors import FRAME

__all__ = [
    "Coarsening",
    "Scheme",
    "TensorStep",
    "coarsen",
    "expectation",
    "log_z",
    "log_z_per_tensor",
]

S = TypeVar("S")
LARGEST = 2**32


@module
class TensorStep(Generic[S]):
    """One coarse-graining step.

    Attributes:
      network: what is renormalized, structured as it came.
      log_norm: logarithm of the factor taken out of the new tensor.
      spectrum: the singular values that were kept, largest first, relative to the largest.
      error: the discarded part relative to what was factorised, in the Frobenius norm.
      cut: whether the truncation divided singular values that are equal.
    """

    network: S
    log_norm: Float[Array, ""]
    spectrum: Float[Array, " chi"]
    error: Float[Array, ""]
    cut: Bool[Array, ""]


@runtime_checkable
class Scheme(Protocol):
    """Settings as fields; ``chi`` is the bond dimension, ``scale`` the length ratio of a step."""

    @property
    def chi(self) -> int: ...

    @property
    def scale(self) -> float: ...

    def start(self, tensor: Float[Array, "..."]) -> Any:
        """The network of a bulk tensor, with legs of length chi."""
        ...

    def step(self, network: Any) -> TensorStep[Any]:
        """The network of the coarser lattice."""
        ...

    def close(self, network: Any, shape: tuple[int, ...]) -> Float[Array, ""]:
        """log Z of a ring of tensors."""
        ...

    def steps_to(self, shape: tuple[int, ...]) -> tuple[int, tuple[int, ...]]:
        """How many steps a torus takes, and the ring that is left."""
        ...


@module
class Coarsening(Generic[S]):
    """The history of a coarse-graining; every array has a leading axis of steps, but the network.

    Attributes:
      network: what is left after the last step.
      log_norm: logarithms of the factors taken out.
      n_tensors: how many tensors of the first lattice make one of this step's.
      spectrum: kept singular values relative to the largest.
      error: discarded parts.
      cut: whether equal singular values were divided.
    """

    network: S
    log_norm: Float[Array, " n"]
    n_tensors: Float[Array, " n"]
    spectrum: Float[Array, "n chi"]
    error: Float[Array, " n"]
    cut: Bool[Array, " n"]

    @property
    def log_z_per_tensor(self) -> Float[Array, ""]:
        """What the steps took out, per tensor of the first lattice: log Z of the infinite one."""
        return jnp.sum(self.log_norm / self.n_tensors)


def coarsen(scheme: Scheme, tensor: Float[Array, "..."], n_steps: int) -> Coarsening[Any]:
    """Apply a scheme ``n_steps`` times to a bulk tensor.

    The steps are one compiled loop. Derivatives keep of every step the network and the frames of
    its factorisations, and compute the rest again.

    Raises:
      SettingError: ``n_steps`` is less than one.
      ShapeError: the tensor is none the scheme can coarsen.

    >>> from physdl import lattices, models, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.4))
    >>> history = tensors.coarsen(tensors.TRG(chi=8), bulk, 20)
    >>> history.spectrum.shape
    (20, 8)
    """
    if n_steps < 1:
        raise SettingError(f"a coarse-graining has one or more steps, got n_steps={n_steps}.")
    found: Coarsening[Any] = _coarsen(scheme, tensor, n_steps)
    return found


@functools.partial(jax.jit, static_argnames="n_steps")
def _coarsen(scheme: Scheme, tensor: Array, n_steps: int) -> Coarsening[Any]:
    tensor = jnp.asarray(tensor)
    norm = frobenius(tensor)
    network = scheme.start(tensor / norm)

    def step(network: S, _: None) -> tuple[S, Any]:
        out = scheme.step(network)
        return out.network, (out.log_norm, out.spectrum, out.error, out.cut)

    keep = jax.checkpoint_policies.save_only_these_names(FRAME)
    network, (log_norm, spectrum, error, cut) = jax.lax.scan(
        jax.checkpoint(step, policy=keep), network, length=n_steps
    )
    n_tensors = jnp.asarray([volume(scheme, tensor) ** (n + 1) for n in range(n_steps)])
    log_norm = log_norm.at[0].add(jnp.log(norm) * n_tensors[0].astype(norm.dtype))
    return Coarsening(network, log_norm, n_tensors.astype(norm.dtype), spectrum, error, cut)


def log_z_per_tensor(
    scheme: Scheme, tensor: Float[Array, "..."], n_steps: int | None = None
) -> Float[Array, ""]:
    """log Z per tensor of the infinite lattice, in nats.

    Without ``n_steps`` there are as many as leave less than one tensor in 2^53.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    >>> found = tensors.log_z_per_tensor(tensors.TRG(chi=8), bulk)
    >>> bool(jnp.isclose(found, reference.onsager_log_z(0.3), rtol=1e-5))
    True
    """
    if n_steps is None:
        n_steps = math.ceil(53 * math.log(2) / math.log(volume(scheme, tensor)))
    return coarsen(scheme, tensor, n_steps).log_z_per_tensor


def expectation(
    scheme: Scheme,
    tensor: Float[Array, "..."],
    impurity: Float[Array, "..."],
    shape: tuple[int, ...] | None = None,
) -> Float[Array, ""]:
    """Z with one tensor replaced by an impurity, over Z, on a torus or the infinite lattice.

    All places are equal, so it is d log Z / de per tensor for T + e T_O: the impurity goes through
    the steps as their derivative does. Where a symmetry is spontaneously broken this is the
    average over all phases; a small field in the bulk tensor chooses one.

    Args:
      scheme: any.
      tensor: the bulk tensor.
      impurity: the other tensor, with the same legs and scale (``impurity``).
      shape: a torus of tensors; the infinite lattice by default.

    Raises:
      ShapeError: the legs of the two differ.
      LatticeError: the scheme cannot halve that torus down to a ring.

    >>> from physdl import lattices, models, reference, tensors
    >>> lattice = lattices.square(2, 2)
    >>> h, energy = models.ising(lattice, 0.3), models.ising(lattice, 1.0)
    >>> inserted = tensors.impurity(h, energy)
    >>> found = tensors.expectation(tensors.TRG(chi=8), tensors.bulk(h), inserted)
    >>> bool(jnp.isclose(found, reference.onsager_energy(0.3), rtol=1e-3))
    True
    """
    check_impurity(impurity, tensor)

    def per_tensor(tensor: Array) -> Array:
        if shape is None:
            return log_z_per_tensor(scheme, tensor)
        return log_z(scheme, tensor, shape)[0] / math.prod(shape)

    found: Array = jax.jvp(per_tensor, (tensor,), (impurity,))[1]
    return found


def log_z(
    scheme: Scheme, tensor: Float[Array, "..."], shape: tuple[int, ...]
) -> tuple[Float[Array, ""], Coarsening[Any]]:
    """log Z of a torus of ``shape`` equal tensors, and the history that led to it.

    Raises:
      LatticeError: the scheme cannot halve that torus down to a ring.
      ShapeError: the tensor has another number of axes.

    >>> from physdl import lattices, models, reference, tensors
    >>> bulk = tensors.bulk(models.ising(lattices.square(16, 16), 0.44))
    >>> found, _ = tensors.log_z(tensors.TRG(chi=16), bulk, (16, 16))
    >>> bool(jnp.isclose(found, reference.kaufman_log_z(16, 16, 0.44), rtol=1e-5))
    True
    """
    if 2 * len(shape) != jnp.ndim(tensor):
        raise ShapeError(f"a tensor of {jnp.ndim(tensor)} legs makes no torus of shape {shape}.")
    n_steps, left = scheme.steps_to(shape)
    history = coarsen(scheme, tensor, n_steps)
    taken = math.prod(shape) * jnp.sum(history.log_norm / history.n_tensors)
    return taken + _close(scheme, history.network, left), history


@functools.partial(jax.jit, static_argnums=2)
def _close(scheme: Scheme, network: Any, shape: tuple[int, ...]) -> Float[Array, ""]:
    return scheme.close(network, shape)


def volume(scheme: Scheme, tensor: Float[Array, "..."]) -> float:
    """How many tensors a step makes one of."""
    return float(round(scheme.scale ** (jnp.ndim(tensor) / 2)))


def frobenius(tensor: Float[Array, "..."]) -> Float[Array, ""]:
    """The norm that a scheme takes out; 1 for a tensor that is zero, so that Z = 0 stays zero."""
    square = jnp.sum(tensor**2)
    return jnp.sqrt(jnp.where(square > 0, square, 1))


def check_chi(chi: int) -> None:
    """Refuse a bond dimension below 2."""
    if isinstance(chi, bool) or int(chi) != chi or chi < 2:
        raise SettingError(f"a bond dimension is a whole number of 2 or more, got chi={chi}.")


def check_iteration(tolerance: float, max_steps: int) -> None:
    """Refuse settings of an iteration that cannot be."""
    if not 0 <= tolerance < 1:
        raise SettingError(f"a tolerance is between 0 and 1, got tolerance={tolerance}.")
    if max_steps < 1:
        raise SettingError(f"there are one or more steps, got max_steps={max_steps}.")


def check_impurity(impurity: Float[Array, "..."], tensor: Float[Array, "..."]) -> None:
    """Refuse an impurity that does not fit into the place of the bulk tensor."""
    if jnp.shape(impurity) != jnp.shape(tensor):
        raise ShapeError(
            f"an impurity has the legs of the bulk tensor, {jnp.shape(tensor)}, got "
            f"{jnp.shape(impurity)}."
        )


def padded(
    tensor: Float[Array, "..."], chi: int, dims: tuple[int, ...], legs: int = 4
) -> Float[Array, "..."]:
    """The tensor with zeros added to make every leg chi long.

    Args:
      tensor: a bulk tensor.
      chi: the bond dimension.
      dims: the dimensions that are allowed.
      legs: how many legs of length chi the largest tensor of a step has.

    Raises:
      ShapeError: it has another number of legs, legs that do not match, or longer ones.
      TooLargeError: the largest tensor of a step has more than 2^32 entries.
    """
    shape = jnp.shape(tensor)
    if chi**legs > LARGEST:
        raise TooLargeError(
            f"a step with chi={chi} makes a tensor of {chi}^{legs} entries, more than 2^32: use "
            f"chi={int(LARGEST ** (1 / legs))} or less."
        )
    if len(shape) not in {2 * d for d in dims} or shape[::2] != shape[1::2]:
        raise ShapeError(
            f"a bulk tensor has the legs [x-, x+, y-, y+, ...] with equal lengths along an axis in "
            f"{' or '.join(map(str, dims))} dimensions, got shape {shape}."
        )
    if max(shape) > chi:
        raise ShapeError(
            f"the bulk tensor has legs of lengths {shape}: this model needs chi={max(shape)} or "
            f"more, got chi={chi}."
        )
    return jnp.pad(tensor, [(0, chi - n) for n in shape])


def relative(values: Float[Array, " chi_1"]) -> Float[Array, " chi"]:
    """The kept values relative to the largest."""
    return values[:-1] / jnp.where(values[0] > 0, values[0], 1)
