r"""What the layers of a trained classifier keep, beside what they must: layers against T_i.

In a grammar that can be read without doubt the minimal statistic T_i of level i is the string of
its s^i symbols, and inference may go T_L -> T_{L-1} -> ... -> T_0. Does a network that was only
shown classes go that way? For a layer a(x) and a level i there are two questions, since T_i and a
are the same partition of strings if each is a function of the other:

| number | question |
|---|---|
| ``accuracy`` | is T_i read off the layer, by a linear map per symbol? |
| ``information`` | the same in nats per symbol, ln v - cross-entropy of that map on new strings |
| ``explained`` | is the layer a function of T_i? the share of its variance that T_i fixes |

    explained = 1 - E abs(a(x) - a(x'))^2 / E abs(a(x) - a(y))^2,

where x' is written anew from the symbols of level i of x, and y is another string (the synonyms of
F. Cagnetta et al., Phys. Rev. X 14, 031001 (2024)). ``information`` is a lower bound on the mutual
information per symbol, up to its sampling error; the layers of a network without noise keep it all
in principle, and what falls is what a linear map can use.
"""

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from physdl.errors import SettingError, StructureError
from physdl.learning import Training, train
from physdl.networks import TANH, Activation, Network, mlp
from physdl.pytree import module, static
from physdl.theory.hierarchy.grammar import Grammar

__all__ = ["LayerTable", "activations", "layers_against_levels", "train_reader"]

PENALTY = 1e-4
SMALL = 1e-6


@module
class LayerTable:
    """Layers (input first, output last) by levels (class first, leaves last).

    Attributes:
      accuracy: share of symbols that a linear map of the layer reads, on new strings.
      information: ln v - cross-entropy of that map, nats per symbol.
      explained: share of the layer's variance that the symbols of the level fix.
      chance: accuracy of the most frequent symbol, [n_levels].
    """

    accuracy: Float[Array, "n_layers n_levels"]
    information: Float[Array, "n_layers n_levels"]
    explained: Float[Array, "n_layers n_levels"]
    chance: Float[Array, " n_levels"]


@module
class _Reading:
    """Cross-entropy of the class of freshly written strings, in nats."""

    grammar: Grammar
    batch_size: int = static()

    def __call__(self, network: Network, key: Key[Array, ""]) -> Float[Array, ""]:
        levels = _written(self.grammar, self.batch_size, key)
        logits = jax.vmap(network)(_encoded(levels[-1], self.grammar.n_symbols))
        return _cross_entropy(logits, levels[0][:, 0], self.grammar.n_symbols)


@module
class _Probing:
    """Cross-entropy of all symbols of all levels by one linear map of a layer, in nats."""

    features: Float[Array, "n d"]
    targets: Float[Array, "n nodes v"]

    def __call__(self, weights: Float[Array, "d1 nodes v"], key: Key[Array, ""]) -> Array:
        del key
        log_p = jax.nn.log_softmax(_mapped(self.features, weights), axis=-1)
        fit = -jnp.sum(self.targets * log_p) / len(self.features)
        return fit + PENALTY * jnp.sum(weights**2)


def train_reader(
    grammar: Grammar,
    *,
    optimizer: Any,
    n_steps: int,
    widths: Sequence[int] = (64, 64, 64),
    activation: Activation = TANH,
    batch_size: int = 128,
    key: Key[Array, ""],
) -> Training[Network]:
    """A perceptron trained to tell the class from the leaves, one symbol one of v inputs.

    Args:
      grammar: writes new strings for every step.
      optimizer: of optax.
      n_steps: updates.
      widths: of the hidden layers.
      activation: of the hidden layers.
      batch_size: strings of a step.
      key: of weights and strings.

    Raises:
      SettingError: there is no string in a batch, or the optimiser is none of optax.

    >>> import optax
    >>> from physdl.theory.hierarchy import random_grammar
    >>> grammar = random_grammar(2, 2, 2, 1, key=jax.random.key(0))
    >>> found = train_reader(
    ...     grammar, optimizer=optax.adam(0.01), n_steps=300, widths=(16,), key=jax.random.key(1)
    ... )
    >>> bool(found.losses[-1] < 0.1)
    True
    """
    if batch_size < 1:
        raise SettingError(f"a batch has strings, got batch_size={batch_size}.")
    start, steps = jax.random.split(key)
    v = grammar.n_symbols
    network = mlp(grammar.n_leaves * v, v, widths=widths, activation=activation, key=start)
    return train(
        _Reading(grammar, batch_size), network, optimizer=optimizer, n_steps=n_steps, key=steps
    )


def activations(
    network: Network, x: Float[Array, " n_in"], activation: Activation = TANH
) -> tuple[Float[Array, " n"], ...]:
    """The layers of an ``mlp`` at one input: the input itself, the hidden layers, the output.

    Raises:
      StructureError: the network is no stack of dense layers.

    >>> network = mlp(3, 2, widths=(8, 4), key=jax.random.key(0))
    >>> [len(a) for a in activations(network, jnp.ones(3))]
    [3, 8, 4, 2]
    """
    arrays = jax.tree.leaves(network.params)
    biases, kernels = arrays[::2], arrays[1::2]
    sizes = [len(x), *(len(b) for b in biases)]
    if [k.shape for k in kernels] != list(itertools.pairwise(sizes)):
        raise StructureError(
            f"the layers of a network are known for networks.mlp of {len(x)} inputs, got arrays of "
            f"shapes {[a.shape for a in arrays]}."
        )
    layers = [x]
    for i, (b, k) in enumerate(zip(biases, kernels, strict=True)):
        before = layers[-1] @ k + b
        layers.append(before if i == len(biases) - 1 else activation(before))
    return tuple(layers)


def layers_against_levels(
    grammar: Grammar,
    network: Network,
    *,
    optimizer: Any,
    n_steps: int = 500,
    n_strings: int = 2048,
    activation: Activation = TANH,
    key: Key[Array, ""],
) -> LayerTable:
    """Every layer of a reader against every level of the grammar.

    Args:
      grammar: that wrote the strings; unambiguous, so that the symbols of a level are its T_i.
      network: of ``train_reader``, or any ``mlp`` of the same inputs.
      optimizer: of optax, for the linear maps.
      n_steps: updates of a linear map.
      n_strings: to fit the maps, and as many new ones to test them.
      activation: of the network.
      key: of all strings.

    Raises:
      StructureError: the grammar is ambiguous, or the network no stack of dense layers.
    """
    if not grammar.is_unambiguous:
        raise StructureError(
            "an ambiguous grammar has no level that follows from the leaves: see random_grammar."
        )
    keys = jax.random.split(key, 5)
    fit, test = (_written(grammar, n_strings, k) for k in keys[:2])
    other = _written(grammar, n_strings, keys[2])[-1]
    again = [_rewritten(grammar, symbols, k) for symbols, k in _each(test, keys[3])]
    layers_of = jax.jit(jax.vmap(functools.partial(activations, activation=activation), (None, 0)))
    encoded = functools.partial(_encoded, n_symbols=grammar.n_symbols)
    fitted, tested, others = (layers_of(network, encoded(x)) for x in (fit[-1], test[-1], other))
    synonyms = [layers_of(network, encoded(x)) for x in again]
    rows = []
    for i, probe in enumerate(jax.random.split(keys[4], len(fitted))):
        scores = _probed(grammar, (fitted[i], fit), (tested[i], test), optimizer, n_steps, probe)
        spread = jnp.mean((tested[i] - others[i]) ** 2)
        apart = jnp.stack([jnp.mean((tested[i] - s[i]) ** 2) for s in synonyms])
        rows.append((*scores, 1 - apart / spread))
    accuracy, information, explained = (jnp.stack(column) for column in zip(*rows, strict=True))
    counts = [jnp.mean(jax.nn.one_hot(t, grammar.n_symbols, dtype=float), axis=0) for t in test]
    chance = jnp.stack([jnp.mean(jnp.max(c, axis=-1)) for c in counts])
    return LayerTable(accuracy, information, explained, chance)


def _each(
    levels: tuple[Int[Array, "n nodes"], ...], key: Key[Array, ""]
) -> list[tuple[Int[Array, "n nodes"], Key[Array, ""]]]:
    return list(zip(levels, jax.random.split(key, len(levels)), strict=True))


def _written(grammar: Grammar, n: int, key: Key[Array, ""]) -> tuple[Int[Array, "n nodes"], ...]:
    """Derivations of n strings, level by level."""
    return jax.vmap(lambda k: grammar.sample(key=k))(jax.random.split(key, n))


def _rewritten(
    grammar: Grammar, symbols: Int[Array, "n nodes"], key: Key[Array, ""]
) -> Int[Array, "n leaves"]:
    """New leaves from the symbols of a level."""
    keys = jax.random.split(key, len(symbols))
    return jax.vmap(lambda x, k: grammar.rewrite(x, key=k)[-1])(symbols, keys)


def _encoded(leaves: Int[Array, "n leaves"], n_symbols: int) -> Float[Array, "n inputs"]:
    """Indicators, of mean zero and variance one for equally frequent symbols."""
    one_hot = jax.nn.one_hot(leaves, n_symbols, dtype=float)
    scale = math.sqrt(1 / n_symbols * (1 - 1 / n_symbols)) if n_symbols > 1 else 1.0
    return ((one_hot - 1 / n_symbols) / scale).reshape(len(leaves), -1)


def _cross_entropy(logits: Float[Array, "n v"], symbol: Int[Array, " n"], n_symbols: int) -> Array:
    target = jax.nn.one_hot(symbol, n_symbols, dtype=logits.dtype)
    return -jnp.mean(jnp.sum(target * jax.nn.log_softmax(logits, axis=-1), axis=-1))


def _mapped(x: Float[Array, "n d"], weights: Float[Array, "d1 nodes v"]) -> Array:
    return jnp.tensordot(x, weights[1:], axes=1) + weights[:1]


def _probed(
    grammar: Grammar,
    fit: tuple[Array, tuple[Array, ...]],
    test: tuple[Array, tuple[Array, ...]],
    optimizer: Any,
    n_steps: int,
    key: Key[Array, ""],
) -> tuple[Float[Array, " n_levels"], Float[Array, " n_levels"]]:
    """Accuracy and information of the linear map of one layer, by level."""
    mean, width = jnp.mean(fit[0], axis=0), jnp.std(fit[0], axis=0) + SMALL
    v, sizes = grammar.n_symbols, [t.shape[1] for t in fit[1]]
    targets = [
        jax.nn.one_hot(jnp.concatenate(t, axis=1), v, dtype=float) for t in (fit[1], test[1])
    ]
    features = [(a - mean[None]) / width[None] for a in (fit[0], test[0])]
    start = jnp.zeros((features[0].shape[1] + 1, sum(sizes), v), dtype=float)
    found = train(
        _Probing(features[0], targets[0]), start, optimizer=optimizer, n_steps=n_steps, key=key
    )
    log_p = jax.nn.log_softmax(_mapped(features[1], found.result), axis=-1)
    right = jnp.mean(jnp.argmax(log_p, axis=-1) == jnp.argmax(targets[1], axis=-1), axis=0)
    entropy = -jnp.mean(jnp.sum(targets[1] * log_p, axis=-1), axis=0)
    ends = [sum(sizes[:i]) for i in range(len(sizes) + 1)]
    level = [slice(a, b) for a, b in itertools.pairwise(ends)]
    accuracy = jnp.stack([jnp.mean(right[s]) for s in level])
    return accuracy, math.log(v) - jnp.stack([jnp.mean(entropy[s]) for s in level])
