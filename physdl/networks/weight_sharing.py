"""How many weights a symmetry saves."""

from physdl.pytree import module, static

__all__ = ["WeightSharing"]


@module
class WeightSharing:
    """What a symmetry saves.

    Attributes:
      n_parameters: the free parameters of the network.
      n_unshared: those of dense layers with as many neurons.
    """

    n_parameters: int = static()
    n_unshared: int = static()

    @property
    def factor(self) -> float:
        """How many times fewer."""
        return self.n_unshared / self.n_parameters
