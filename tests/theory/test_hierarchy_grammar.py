"""Reading a grammar against a list of all its derivations, made by plain recursion."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError, TooLargeError
from physdl.pytree import Table
from physdl.theory import hierarchy
from physdl.theory.hierarchy import Grammar


def ambiguous(seed=0, depth=2):
    rng = np.random.default_rng(seed)
    return Grammar(tuple(Table(rng.integers(0, 3, size=(3, 2, 2))) for _ in range(depth)))


def writings(grammar, symbol, level=0):
    """Every string below a symbol with its probability."""
    if level == grammar.depth:
        return {(symbol,): 1.0}
    found = {}
    for side in grammar.rules[level].array[symbol].tolist():
        parts = [writings(grammar, child, level + 1).items() for child in side]
        for choice in itertools.product(*parts):
            string = tuple(itertools.chain(*(s for s, _ in choice)))
            p = np.prod([q for _, q in choice]) / grammar.n_productions
            found[string] = found.get(string, 0.0) + p
    return found


def likelihoods(grammar, strings):
    """P(string | class), [n_strings, v]."""
    by_class = [writings(grammar, a) for a in range(grammar.n_symbols)]
    return np.array([[table.get(tuple(s), 0.0) for table in by_class] for s in strings])


@pytest.mark.parametrize("seed", range(3))
def test_posterior_of_every_string(seed):
    grammar = ambiguous(seed)
    strings = sorted({s for a in range(3) for s in writings(grammar, a)})
    exact = likelihoods(grammar, strings)
    exact = exact / exact.sum(1, keepdims=True)
    found = jax.vmap(grammar.posterior)(jnp.array(strings))
    np.testing.assert_allclose(found, exact, atol=1e-13)
    if not grammar.is_unambiguous:
        assert np.any((exact > 0.01) & (exact < 0.99))


def test_uncertain_leaves():
    """Every leaf misread with probability 0.2: a sum over all strings."""
    grammar = ambiguous(1)
    noise = np.where(np.eye(3) > 0, 0.8, 0.1)
    seen = [0, 2, 1, 1]
    strings = sorted({s for a in range(3) for s in writings(grammar, a)})
    weight = [np.prod([noise[a, b] for a, b in zip(s, seen, strict=True)]) for s in strings]
    exact = np.array(weight) @ likelihoods(grammar, strings)
    found = grammar.posterior(jnp.log(jnp.asarray(noise[:, seen].T)))
    np.testing.assert_allclose(found, exact / exact.sum(), atol=1e-13)
    message = grammar.messages(jnp.log(jnp.asarray(noise[:, seen].T)))
    assert [m.shape for m in message] == [(1, 3), (2, 3), (4, 3)]
    np.testing.assert_allclose(np.exp(message[0][0]), exact, rtol=1e-12)


def test_an_impossible_string():
    xor = Grammar((Table([[[0, 0]], [[1, 1]]]),))
    assert np.all(np.isnan(xor.posterior(jnp.array([0, 1]))))


@pytest.mark.parametrize("grammar", [ambiguous(2), ambiguous(3)], ids=["a", "b"])
def test_the_chain_of_strings(grammar):
    chain, strings = grammar.hierarchy()
    exact = likelihoods(grammar, np.asarray(strings[-1]).tolist())
    np.testing.assert_allclose(chain.transition(0, 2), exact, atol=1e-14)
    posterior = jax.vmap(grammar.posterior)(strings[-1])
    np.testing.assert_allclose(chain.posterior(0), posterior, atol=1e-13)


def test_statistics_of_an_unambiguous_grammar_are_its_levels():
    """Theorem 2 there is reading upwards: T_i is the string of level i."""
    grammar = hierarchy.random_grammar(3, 2, 2, 2, key=jax.random.key(4))
    chain, strings = grammar.hierarchy()
    assert [len(s) for s in strings] == [3, 6, 24]
    found = hierarchy.distill(chain)
    assert found.n_classes == (3, 6, 24)
    for i in range(3):
        parents = np.asarray(jnp.argmax(chain.posterior(i), axis=1))
        hierarchy.factor_through(found.statistics[i].array, parents)
        hierarchy.factor_through(parents, found.statistics[i].array)
    for y, string in enumerate(strings[-1]):
        np.testing.assert_allclose(found(y), grammar.posterior(string), atol=1e-13)
    profile = hierarchy.information_profile(chain)
    np.testing.assert_allclose(profile.levels, np.log(3), rtol=1e-12)


def test_draws_have_the_probabilities():
    """4000 strings, every frequency within five standard errors."""
    grammar = ambiguous(2)
    draw = jax.jit(jax.vmap(lambda k: grammar.sample(key=k)))
    levels = draw(jax.random.split(jax.random.key(0), 4000))
    chain, strings = grammar.hierarchy()
    for level, every in enumerate(strings):
        index = {tuple(s): i for i, s in enumerate(np.asarray(every).tolist())}
        count = np.zeros(len(every))
        for row in np.asarray(levels[level]).tolist():
            count[index[tuple(row)]] += 1
        p = np.asarray(chain.marginal(level))
        assert np.all(np.abs(count / 4000 - p) < 5 * np.sqrt(p * (1 - p) / 4000))


def test_rewriting_keeps_the_level():
    grammar = hierarchy.random_grammar(4, 3, 2, 3, key=jax.random.key(1))
    keys = jax.random.split(jax.random.key(2), 21)
    levels = grammar.sample(key=keys[0])
    changed = 0
    for key in keys[1:]:
        again = grammar.rewrite(levels[1], key=key)
        message = grammar.messages(again[-1])
        np.testing.assert_array_equal(jnp.argmax(message[1], axis=1), levels[1])
        assert int(jnp.argmax(message[0][0])) == int(levels[0][0])
        changed += not jnp.array_equal(again[-1], levels[-1])
    assert changed > 15


def test_reading_noisy_leaves_is_differentiable():
    grammar = ambiguous(1)
    weights = jax.random.normal(jax.random.key(0), (4, 3), dtype=float)
    value = lambda w: grammar.posterior(w)[0]
    step = jnp.zeros((4, 3)).at[2, 1].set(1e-5)
    slope = (value(weights + step) - value(weights - step)) / 2e-5
    assert float(jax.grad(value)(weights)[2, 1]) == pytest.approx(float(slope), abs=1e-9)


def test_refusals():
    with pytest.raises(SettingError, match="right-hand sides"):
        hierarchy.random_grammar(2, 3, 2, 2, key=jax.random.key(0))
    with pytest.raises(SettingError, match=">= 1"):
        hierarchy.random_grammar(2, 1, 2, 0, key=jax.random.key(0))
    with pytest.raises(SettingError, match="none"):
        Grammar(())
    with pytest.raises(ShapeError, match="one shape"):
        Grammar((Table([[0, 1]]),))
    with pytest.raises(SettingError, match="symbols are 0 to 1"):
        Grammar((Table([[[0, 2]], [[0, 1]]]),))
    with pytest.raises(ShapeError, match="4 leaves"):
        ambiguous().posterior(jnp.array([0, 1]))
    with pytest.raises(ShapeError, match="levels have"):
        ambiguous().rewrite(jnp.array([0, 1, 2]), key=jax.random.key(0))
    with pytest.raises(TooLargeError, match="4096"):
        hierarchy.random_grammar(4, 4, 2, 3, key=jax.random.key(0)).hierarchy()
