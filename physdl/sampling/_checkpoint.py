"""The state of a long run on disk: whole or not at all, and only taken up by its own run.

A checkpoint is a folder of orbax steps, one for each number of steps done, the last two kept. Each
is written beside its place and moved there, so a run that is killed while writing goes on from the
step before. What the run is (for chains: kernel, Hamiltonian, key, lengths, observables, version)
stands in the metadata as a digest, and a folder whose digest differs is refused untouched.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from physdl.errors import CheckpointError

__all__ = ["Checkpoint", "digest"]

FORMAT = 1
KEPT = 2


def digest(tree: Any, words: Sequence[object]) -> str:
    """A digest of the structure and the values of a pytree, and of some words."""
    leaves, structure = jax.tree.flatten(tree)
    found = hashlib.sha256(repr([FORMAT, str(structure), *words]).encode())
    for leaf in leaves:
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        array = np.asarray(leaf)
        found.update(repr((array.shape, array.dtype.str)).encode() + array.tobytes())
    return found.hexdigest()


class Checkpoint:
    """A folder of checkpoints of one run; ``differs`` names what its digest is of.

    Raises:
      CheckpointError: the folder holds something else, or the checkpoints of another run.
    """

    def __init__(self, folder: str | Path, run: str, differs: str):
        from orbax.checkpoint import v1 as ocp

        self.folder, self.run = Path(folder).absolute(), run
        foreign = self.folder.is_file() or (
            self.folder.is_dir() and any(self.folder.iterdir()) and not self._is_ours()
        )
        if foreign:
            raise CheckpointError(
                f"{folder} is not a folder of checkpoints: give an empty or a new folder."
            )
        self._orbax = ocp.training.Checkpointer(
            self.folder,
            preservation_policy=ocp.training.preservation_policies.LatestN(KEPT),
            cleanup_tmp_directories=True,
        )
        latest = self._orbax.latest
        if latest is not None:
            known = (self._orbax.metadata(latest.step).custom_metadata or {}).get("run")
            if known != run:
                raise CheckpointError(
                    f"{folder} holds checkpoints of another run (another {differs} or version): "
                    f"give another folder."
                )

    def _is_ours(self) -> bool:
        return all(p.name.isdigit() or "orbax" in p.name for p in self.folder.iterdir())

    def load(self, like: Any) -> tuple[int, Any] | None:
        """The number of steps done and the state then; ``None`` where nothing was saved."""
        latest = self._orbax.latest
        if latest is None:
            return None
        leaves, structure = jax.tree.flatten(like)
        found = self._orbax.load(
            latest.step, {n: np.zeros(v.shape, v.dtype) for n, v in _named(leaves).items()}
        )
        values = [found.get(str(i), leaf) for i, leaf in enumerate(leaves)]
        return latest.step, jax.tree.unflatten(structure, values)

    def save(self, step: int, state: Any) -> None:
        """Write the state after a number of steps."""
        named = _named(jax.tree.leaves(state))
        self._orbax.save(step, named, custom_metadata={"run": self.run}, force=True)

    def close(self) -> None:
        """Wait for what is being written."""
        self._orbax.close()


def _named(leaves: list[Any]) -> dict[str, Any]:
    """Arrays by their number; orbax does not take those without entries."""
    return {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves) if leaf.size}
