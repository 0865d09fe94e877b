r"""Migdal-Kadanoff for random bonds, by the dynamics of a population.

With disorder the couplings are a distribution. A population of bonds stands for it: a new bond is
made of b b^(d-1) old ones drawn at random, b^(d-1) side by side, b of these in a row,

    W' = prod_series exp(sum_parallel log W)

(B. W. Southern and A. P. Young, J. Phys. C 10, 2179 (1977)), exact on a hierarchical lattice with
independent bonds. In a spin glass phase the width of the distribution grows as b^(theta n) with
the stiffness exponent theta; in a paramagnet it shrinks to zero.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from physdl.bibliography import cites
from physdl.errors import SettingError, ShapeError
from physdl.pytree import module, static
from physdl.rg._base import RGStep
from physdl.rg._matrix import log_product
from physdl.rg.bonds import Bond
from physdl.rg.migdal_kadanoff import ising_bond, summed_out

__all__ = ["Population", "RandomBonds"]


@module
class Population:
    """Bonds that stand for their distribution.

    Attributes:
      couplings: of every bond, [n_bonds, n_couplings].
      key: the random key of the next step.
    """

    couplings: Float[Array, "n_bonds n_couplings"]
    key: Key[Array, ""]


@cites("southern1977")
@module
class RandomBonds:
    """Bond moving and decimation of a ``Population`` on a hypercubic lattice.

    ``error`` is the mean of what the basis of couplings cannot hold; it is zero for Ising spins.

    Attributes:
      scale: b, an integer of 2 or more.
      dim: d >= 1 with b^(d - 1) an integer.
      bond: the basis of couplings; that of the Ising model by default.

    Raises:
      SettingError: b or b^(d - 1) is not an integer.

    >>> from physdl import rg
    >>> normal = jax.random.normal(jax.random.key(0), (1000, 1))
    >>> step = rg.RandomBonds(scale=2, dim=3)
    >>> cold = rg.flow(step, rg.Population(5 * normal, jax.random.key(1)), 5).couplings.couplings
    >>> hot = rg.flow(step, rg.Population(0.3 * normal, jax.random.key(1)), 5).couplings.couplings
    >>> bool(jnp.std(cold[-1]) > jnp.std(cold[0])), bool(jnp.std(hot[-1]) < jnp.std(hot[0]))
    (True, True)
    """

    bond: Bond
    scale: int = static()
    dim: float = static()

    def __init__(self, scale: int = 2, dim: float = 3, bond: Bond | None = None):
        if scale != int(scale) or scale < 2:
            raise SettingError(f"random bonds need an integer scale of 2 or more, got {scale}.")
        side_by_side = scale ** (dim - 1)
        if dim < 1 or abs(side_by_side - round(side_by_side)) > 1e-9:
            raise SettingError(
                f"random bonds are moved whole, so scale^(dim - 1) must be an integer, got scale="
                f"{scale} and dim={dim}."
            )
        object.__setattr__(self, "scale", int(scale))
        object.__setattr__(self, "dim", dim)
        object.__setattr__(self, "bond", ising_bond() if bond is None else bond)

    def __call__(self, couplings: Population) -> RGStep[Population]:
        """A population of as many renormalized bonds.

        Raises:
          ShapeError: the bonds have more or fewer couplings than the basis.
        """
        k, names = couplings.couplings, self.bond.names
        if k.ndim != 2 or k.shape[1] != len(names):
            raise ShapeError(
                f"bonds of {len(names)} couplings are an array [n_bonds, {len(names)}], got "
                f"{list(k.shape)}."
            )
        key, draw_key = jax.random.split(couplings.key)
        n_parallel = round(self.scale ** (self.dim - 1))
        picked = jax.random.randint(draw_key, (len(k), self.scale, n_parallel), 0, len(k))
        moved = jnp.sum(k[picked], axis=2)
        after, constant, error = jax.vmap(self._in_series)(moved)
        log_weight = summed_out(jnp.mean(constant), self.scale, self.dim, self.bond)
        return RGStep(Population(after, key), log_weight, jnp.mean(error))

    def _in_series(self, moved: Float[Array, "b n"]) -> tuple[Array, Array, Array]:
        tables = jax.vmap(self.bond.log_weights)(moved)
        whole = tables[0]
        for table in tables[1:]:
            whole = log_product(whole, table)
        return self.bond.couplings((whole + whole.T) / 2)
