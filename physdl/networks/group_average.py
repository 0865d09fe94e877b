r"""The average of any network over a finite group, as for the sign of all spins.

    f(x) = (1 / |G|) sum_g chi(g) network(g x),        f(g x) = chi(g) f(x)

It equals one network with |G| times as many neurons, which share the weights of the first.
"""

from typing import Literal

import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpy.typing import ArrayLike as NumpyArrayLike

from physdl.errors import SettingError, ShapeError, StructureError
from physdl.networks._permutations import permutations_of
from physdl.networks.network import Network
from physdl.networks.weight_sharing import WeightSharing
from physdl.pytree import IntArray, Table, module, static

__all__ = ["Averaged", "averaged"]


@module
class Averaged:
    """The mean of a network over a finite group that acts on its input.

    Attributes:
      network: any network of configurations.
      images: for each element the site that is read at every place, int [n_group, n_sites].
      signs: for each element +1 or -1, by which the input is multiplied, int [n_group].
      characters: for each element +1 or -1, by which the output is multiplied, int [n_group].
    """

    network: Network
    images: Table = static()
    signs: Table = static()
    characters: Table = static()

    def __call__(self, x: ArrayLike) -> Float[Array, "..."]:
        """Evaluate on one input; ``jax.vmap`` for many."""
        state = jnp.asarray(x, jnp.result_type(float))
        elements = zip(self.images.array, self.signs.array, self.characters.array, strict=True)
        outputs = [
            float(chi) * self.network((float(sign) * state.reshape(-1)[image]).reshape(state.shape))
            for image, sign, chi in elements
        ]
        return jnp.mean(jnp.stack(outputs), axis=0)


def averaged(
    network: Network,
    n_sites: int,
    *,
    permutations: NumpyArrayLike | None = None,
    parity: Literal["even", "odd"] | None = None,
) -> tuple[Averaged, WeightSharing]:
    """A network made symmetric by averaging, and what the symmetry saves.

    The group is that of ``permutations`` (all its elements, not only generators), times the change
    of sign of all inputs where a ``parity`` of the output is asked for: ``"even"`` is the Z2
    symmetry of an energy without field, ``"odd"`` that of a magnetisation. The neurons of the
    average are |G| times those of the network, and share its weights.

    Raises:
      ShapeError: these are no permutations of ``n_sites`` sites.
      StructureError: the permutations are not closed under composition.

    >>> import jax
    >>> from physdl.networks import mlp
    >>> plain = mlp(3, 1, widths=(4,), key=jax.random.key(0))
    >>> network, saved = averaged(plain, 3, parity="even")
    >>> x = jnp.array([0.3, -1.0, 0.2])
    >>> bool(jnp.allclose(network(x), network(-x))), saved.factor
    (True, 2.0)
    """
    if parity not in (None, "even", "odd"):
        raise SettingError(f"a parity is 'even', 'odd' or None, got {parity!r}.")
    group = permutations_of(np.arange(n_sites)[None] if permutations is None else permutations)
    if group.shape[1] != n_sites:
        raise ShapeError(f"the group acts on {group.shape[1]} sites, the network on {n_sites}.")
    _check_closed(group)
    signs = [1] if parity is None else [1, -1]
    elements = [(image, sign) for sign in signs for image in group]
    characters = [sign if parity == "odd" else 1 for _, sign in elements]
    images, all_signs = zip(*elements, strict=True)
    n = network.n_parameters
    made = Averaged(network, Table(np.stack(images)), Table(all_signs), Table(characters))
    return made, WeightSharing(n, n * len(elements))


def _check_closed(group: IntArray) -> None:
    known = {row.tobytes() for row in group}
    for first in group:
        if any(row.tobytes() not in known for row in first[group]):
            raise StructureError(
                f"an average takes a whole group, but these {len(group)} permutations are not "
                f"closed under composition: give all elements."
            )
