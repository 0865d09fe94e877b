r"""A random grammar: a hierarchy that writes strings, and the exact inference of what it means.

The random hierarchy model (F. Cagnetta, L. Petrini, U. M. Tomasini, A. Favero and M. Wyart, Phys.
Rev. X 14, 031001 (2024)): a class is one of v symbols; each symbol is written, by one of m rules
with equal probability, as s symbols of the next level; after L levels there are s^L leaves. The
v m right-hand sides of a level differ, so that whoever knows the rules can read a string upwards.

Exact inference is one upward pass. With the message of a node a -> ln P(leaves below | symbol a),

    message(a) = ln (1/m) sum_rules exp( sum_j message_child_j(symbol j of the rule) ),

and the posterior of the class is the softmax of the root's message. Leaves may be uncertain: they
enter as ln P(observed | leaf symbol).

Convention: symbols are 0, ..., v-1; level l has s^l of them, from left to right; level 0 is the
class, level L the leaves.
"""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.numerics import log_or_zero, logsumexp
from physdl.pytree import Table, module, static
from physdl.theory.hierarchy.markov_hierarchy import MarkovHierarchy

__all__ = ["Grammar", "random_grammar"]

MOST_STRINGS = 2**12


@module
class Grammar:
    """Rules that write strings.

    Attributes:
      rules: for every level the right-hand sides, a table [v, m, s]; the class's first.

    Raises:
      SettingError: there are no rules, or they name a symbol that does not exist.
      ShapeError: tables are not all of the same shape [v, m, s].

    >>> xor = Grammar((Table([[[0, 0], [1, 1]], [[0, 1], [1, 0]]]),))
    >>> xor.posterior(jnp.array([1, 0])).tolist()
    [0.0, 1.0]
    """

    rules: tuple[Table, ...] = static()

    def __post_init__(self) -> None:
        shapes = {t.array.shape for t in self.rules}
        if not shapes:
            raise SettingError("a grammar has rules for one level at least, got none.")
        if len(shapes) > 1 or len(next(iter(shapes))) != 3:
            raise ShapeError(f"rules are tables of one shape [v, m, s], got {sorted(shapes)}.")
        if any(t.array.min() < 0 or t.array.max() >= self.n_symbols for t in self.rules):
            raise SettingError(f"symbols are 0 to {self.n_symbols - 1} in every rule.")

    @property
    def n_symbols(self) -> int:
        """v, at every level."""
        return int(self.rules[0].array.shape[0])

    @property
    def n_productions(self) -> int:
        """m, of every symbol."""
        return int(self.rules[0].array.shape[1])

    @property
    def branching(self) -> int:
        """s, symbols of a right-hand side."""
        return int(self.rules[0].array.shape[2])

    @property
    def depth(self) -> int:
        """L, the number of levels below the class."""
        return len(self.rules)

    @property
    def n_leaves(self) -> int:
        """s^L."""
        return int(self.branching**self.depth)

    @property
    def is_unambiguous(self) -> bool:
        """Whether no two rules of a level write the same."""
        flat = [t.array.reshape(-1, self.branching) for t in self.rules]
        return all(len(np.unique(t, axis=0)) == len(t) for t in flat)

    def sample(self, *, key: Key[Array, ""]) -> tuple[Int[Array, " n"], ...]:
        """One derivation: the symbols of level 0 (a fair class), 1, ..., L."""
        first, rest = jax.random.split(key)
        return self.rewrite(jax.random.randint(first, (1,), 0, self.n_symbols, jnp.int32), key=rest)

    def rewrite(
        self, symbols: Int[Array, " n"], *, key: Key[Array, ""]
    ) -> tuple[Int[Array, " n"], ...]:
        """A derivation from the symbols of a level down to leaves; the level follows from n.

        Raises:
          ShapeError: no level has so many symbols.
        """
        sizes = [self.branching**level for level in range(self.depth + 1)]
        if symbols.ndim != 1 or len(symbols) not in sizes:
            raise ShapeError(f"levels have {sizes} symbols, got shape {symbols.shape}.")
        start = sizes.index(len(symbols))
        keys = jax.random.split(key, self.depth + 1)
        levels = [symbols.astype(jnp.int32)]
        for level in range(start, self.depth):
            above = levels[-1]
            chosen = jax.random.randint(keys[level], above.shape, 0, self.n_productions)
            table = jnp.asarray(self.rules[level].array)
            levels.append(table[above, chosen].reshape(-1))
        return tuple(levels)

    def messages(self, leaves: ArrayLike) -> tuple[Float[Array, "n v"], ...]:
        """ln P(leaves below | symbol) of every node, level 0 first.

        Args:
          leaves: symbols, int [s^L]; or ln P(observed | leaf symbol), [s^L, v].

        Raises:
          ShapeError: there are not s^L leaves.
        """
        given = jnp.asarray(leaves)
        if given.shape not in ((self.n_leaves,), (self.n_leaves, self.n_symbols)):
            raise ShapeError(
                f"a string has {self.n_leaves} leaves of {self.n_symbols} symbols, got shape "
                f"{given.shape}."
            )
        if given.ndim == 1:
            given = log_or_zero(jax.nn.one_hot(given, self.n_symbols, dtype=float))
        levels = [given]
        for table in reversed(self.rules):
            children = levels[-1].reshape(-1, self.branching, self.n_symbols)
            sides = sum(
                (children[:, j][:, table.array[:, :, j]] for j in range(self.branching)),
                start=jnp.zeros((), given.dtype),
            )
            levels.append(logsumexp(sides, axis=-1) - math.log(self.n_productions))
        return tuple(reversed(levels))

    def posterior(self, leaves: ArrayLike) -> Float[Array, " v"]:
        """P(class | leaves) for equal prior probabilities; NaN where no class writes the leaves.

        Raises:
          ShapeError: there are not s^L leaves.
        """
        message = self.messages(leaves)[0][0]
        return jnp.exp(message - logsumexp(message))

    def hierarchy(self) -> tuple[MarkovHierarchy, tuple[Int[Array, "n_strings n"], ...]]:
        """The grammar as a Markov hierarchy of whole strings, and the strings of every level.

        Raises:
          TooLargeError: a level has more than 2^12 strings.

        >>> chain, strings = random_grammar(2, 2, 2, 2, key=jax.random.key(0)).hierarchy()
        >>> [len(s) for s in strings]
        [2, 4, 16]
        """
        strings = [np.arange(self.n_symbols)[:, None]]
        matrices = []
        for table in self.rules:
            above = strings[-1]
            n_ways = self.n_productions ** above.shape[1]
            if len(above) * n_ways > MOST_STRINGS:
                raise TooLargeError(
                    f"{len(above) * n_ways} strings are more than {MOST_STRINGS}: take a grammar "
                    f"of fewer levels or rules."
                )
            ways = np.array(
                list(itertools.product(range(self.n_productions), repeat=above.shape[1]))
            )
            written = table.array[above[:, None, :], ways[None]].reshape(len(above), n_ways, -1)
            below, index = np.unique(
                written.reshape(len(above) * n_ways, -1), axis=0, return_inverse=True
            )
            matrix = np.zeros((len(below), len(above)))
            np.add.at(
                matrix, (index.reshape(-1), np.repeat(np.arange(len(above)), n_ways)), 1 / n_ways
            )
            strings.append(below)
            matrices.append(jnp.asarray(matrix))
        prior = jnp.full(self.n_symbols, 1 / self.n_symbols, dtype=float)
        return MarkovHierarchy(tuple(matrices), prior), tuple(jnp.asarray(s) for s in strings)


def random_grammar(
    n_symbols: int, n_productions: int, branching: int, depth: int, *, key: Key[Array, ""]
) -> Grammar:
    """A grammar whose right-hand sides are drawn without repetition, so that it is unambiguous.

    Args:
      n_symbols: v.
      n_productions: m, with v m <= v^s.
      branching: s.
      depth: L.
      key: of the rules.

    Raises:
      SettingError: a number is below 1, or there are not enough right-hand sides.

    >>> random_grammar(4, 2, 2, 3, key=jax.random.key(0)).is_unambiguous
    True
    """
    if min(n_symbols, n_productions, branching, depth) < 1:
        raise SettingError("a grammar has v, m, s, L >= 1.")
    n_sides, needed = n_symbols**branching, n_symbols * n_productions
    if needed > n_sides:
        raise SettingError(
            f"{n_symbols} symbols with {n_productions} rules each need {needed} right-hand sides, "
            f"but there are {n_sides}: take fewer rules or longer right-hand sides."
        )
    rules = []
    for level_key in jax.random.split(key, depth):
        chosen = np.asarray(jax.random.permutation(level_key, n_sides))[:needed]
        symbols = np.stack(np.unravel_index(chosen, (n_symbols,) * branching), axis=-1)
        rules.append(Table(symbols.reshape(n_symbols, n_productions, branching)))
    return Grammar(tuple(rules))
