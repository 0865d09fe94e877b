"""Chains, statistics and information against sums over whole paths in plain numpy."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, ShapeError
from physdl.theory import hierarchy
from physdl.theory.hierarchy import BIT, MarkovHierarchy

BITS = {1: 0.531004406, 2: 0.319922954, 3: 0.198370898, 4: 0.124655970, 8: 0.020400468}


def entropy(p):
    p = np.asarray(p).reshape(-1)
    return -float(np.sum(p[p > 0] * np.log(p[p > 0])))


def information(joint):
    joint = np.asarray(joint)
    return entropy(joint.sum(1)) + entropy(joint.sum(0)) - entropy(joint)


def random_joint(seed, n_x, n_y):
    p = np.random.default_rng(seed).dirichlet(np.ones(n_x * n_y)).reshape(n_x, n_y)
    p[0, :2] = 0
    return p / p.sum()


def generic(sizes, seed=0):
    rng = np.random.default_rng(seed)
    pairs = itertools.pairwise(sizes)
    matrices = tuple(rng.dirichlet(np.ones(m), size=n).T for n, m in pairs)
    return MarkovHierarchy(matrices, rng.dirichlet(np.ones(sizes[0])))


def paths(chain):
    """p(y_0, ..., y_n) of every path, one axis a level."""
    p = np.asarray(chain.prior)
    for m in chain.matrices:
        p = p[..., None] * np.asarray(m).T
    return p


def bayes(chain, level):
    """P(y_level | y_n) from the paths."""
    p = paths(chain)
    joint = p.sum(axis=tuple(k for k in range(p.ndim - 1) if k != level))
    return joint.T / joint.sum(0)[:, None]


class TestInformation:
    @pytest.mark.parametrize("seed", range(3))
    def test_entropies(self, seed):
        p = random_joint(seed, 4, 6)
        assert float(hierarchy.mutual_information(p)) == pytest.approx(information(p), abs=1e-14)
        assert float(hierarchy.mutual_information(7 * p)) == pytest.approx(
            information(p), abs=1e-14
        )

    def test_extremes(self):
        assert hierarchy.mutual_information(np.outer([0.3, 0.7], [0.2, 0.8])) < 1e-16
        assert float(hierarchy.mutual_information(np.eye(8) / 8)) == pytest.approx(3 * BIT)

    def test_tiny_probabilities(self):
        log_p = jnp.array([[0.0, -800.0], [-800.0, 0.0]])
        assert float(hierarchy.log_mutual_information(log_p)) == pytest.approx(BIT, rel=1e-14)

    def test_gradient(self):
        p, e = jnp.asarray(random_joint(0, 3, 4)), 1e-6
        slope = jax.grad(hierarchy.mutual_information)(p)
        assert np.all(np.isfinite(slope))
        step = jnp.zeros((3, 4)).at[1, 2].set(e)
        ends = [float(hierarchy.mutual_information(p + s)) for s in (step, -step)]
        assert float(slope[1, 2]) == pytest.approx((ends[0] - ends[1]) / (2 * e), rel=1e-6)

    @pytest.mark.parametrize("seed", range(5))
    def test_data_processing(self, seed):
        """Less after any function or channel, unless the posterior does not notice."""
        rng = np.random.default_rng(seed)
        p = rng.dirichlet(np.ones(15)).reshape(3, 5)
        before = float(hierarchy.mutual_information(p))
        channel = rng.dirichlet(np.ones(4), size=5).T
        for f in (rng.integers(0, 3, size=5), channel):
            assert float(hierarchy.mutual_information(hierarchy.processed(p, f))) < before
        doubled = np.concatenate([p * 0.3, p * 0.7], axis=1)
        merged = hierarchy.processed(doubled, [0, 1, 2, 3, 4] * 2)
        np.testing.assert_allclose(merged, p, atol=1e-15)
        assert float(hierarchy.mutual_information(doubled)) == pytest.approx(before, abs=1e-14)

    def test_refusals(self):
        with pytest.raises(ShapeError, match="joint distribution is a table"):
            hierarchy.mutual_information(jnp.ones(3))
        with pytest.raises(ShapeError, match="function of 4 values"):
            hierarchy.processed(jnp.ones((2, 4)), [0, 1])


class TestChain:
    def test_against_paths(self):
        chain = generic((3, 4, 2, 5))
        p = paths(chain)
        for i, j in itertools.combinations(range(4), 2):
            others = tuple(k for k in range(4) if k not in (i, j))
            np.testing.assert_allclose(chain.joint(i, j), p.sum(axis=others), atol=1e-15)
        for k in range(4):
            others = tuple(j for j in range(4) if j != k)
            np.testing.assert_allclose(chain.marginal(k), p.sum(axis=others), atol=1e-15)
        for k in range(3):
            np.testing.assert_allclose(chain.posterior(k), bayes(chain, k), atol=1e-14)
        np.testing.assert_array_equal(chain.transition(2, 2), np.eye(2))

    @pytest.mark.parametrize("n", BITS)
    def test_binary_symmetric_cascade(self, n):
        chain = hierarchy.binary_symmetric_cascade(0.1, n)
        found = float(hierarchy.mutual_information(chain.joint(0, n))) / BIT
        assert found == pytest.approx(BITS[n], abs=6e-10)

    def test_a_posterior_of_the_impossible_is_nan(self):
        chain = MarkovHierarchy((jnp.array([[1.0, 1.0], [0.0, 0.0]]),), jnp.array([0.5, 0.5]))
        assert np.all(np.isnan(chain.posterior(0)[1]))
        with pytest.raises(SettingError, match="row 1"):
            hierarchy.distill(chain)

    def test_refusals(self):
        half = jnp.array([0.5, 0.5])
        with pytest.raises(ShapeError, match="does not follow"):
            MarkovHierarchy((jnp.eye(3),), half)
        with pytest.raises(ShapeError, match="prior vector"):
            MarkovHierarchy((half,), half)
        with pytest.raises(SettingError, match="M_1 is no probability"):
            MarkovHierarchy((jnp.ones((2, 2)),), half)
        with pytest.raises(SettingError, match="prior is no"):
            MarkovHierarchy((), jnp.array([1.5, -0.5]))
        with pytest.raises(SettingError, match="levels are 0 to 1"):
            MarkovHierarchy((jnp.eye(2),), half).transition(1, 0)
        with pytest.raises(SettingError, match="v >= 2"):
            hierarchy.random_hierarchy(2, n_values=1, key=jax.random.key(0))


class TestStatistic:
    def test_planted_rows_are_found(self):
        rng = np.random.default_rng(0)
        labels = np.array([0, 1, 0, 2, 1, 1, 3])
        rows = rng.dirichlet(np.ones(4), size=4)
        found = hierarchy.minimal_sufficient_statistic(rows[labels])
        np.testing.assert_array_equal(found, labels)
        noisy = rows[labels] + 1e-9 * rng.normal(size=(7, 4))
        np.testing.assert_array_equal(hierarchy.minimal_sufficient_statistic(noisy), labels)
        assert hierarchy.minimal_sufficient_statistic(noisy, 0.0).max() == 6

    @pytest.mark.parametrize("seed", range(3))
    def test_a_factor_is_found_where_there_is_one(self, seed):
        rng = np.random.default_rng(seed)
        fine = rng.permutation(np.concatenate([np.arange(5), rng.integers(0, 5, 20)]))
        f = rng.integers(0, 3, size=5)
        np.testing.assert_array_equal(hierarchy.factor_through(f[fine], fine), f)

    def test_and_refused_where_there_is_none(self):
        with pytest.raises(SettingError, match="x = 0 and x = 2 have the same value 1"):
            hierarchy.factor_through([0, 0, 1], [1, 0, 1])

    def test_refusals(self):
        with pytest.raises(ShapeError):
            hierarchy.minimal_sufficient_statistic([0.5, 0.5])
        with pytest.raises(SettingError, match="row 0"):
            hierarchy.minimal_sufficient_statistic([[0.5, 0.6]])
        with pytest.raises(SettingError, match="tolerance"):
            hierarchy.minimal_sufficient_statistic([[0.5, 0.5]], -1.0)
        with pytest.raises(ShapeError, match="same x"):
            hierarchy.factor_through([0, 1], [0, 1, 2])


class TestTheorem:
    @pytest.mark.parametrize("n", [3, 4, 5, 6])
    @pytest.mark.parametrize("seed", range(2))
    def test_theorem_and_corollary(self, n, seed):
        """f_i exist, T_i = f_i o T_{i+1}, layers equal Bayes, and nothing is lost on the way."""
        chain = hierarchy.random_hierarchy(n, key=jax.random.key(seed))
        found = hierarchy.distill(chain)
        assert found.n_classes == tuple(2 ** (i + 1) for i in range(n + 1))
        for i, f in enumerate(found.maps):
            t, below = (found.statistics[k].array for k in (i, i + 1))
            np.testing.assert_array_equal(t, f.array[below])
        joint = np.diag(np.asarray(chain.prior))
        for m in chain.matrices:
            joint = joint @ np.asarray(m).T
        exact = joint.T / joint.sum(0)[:, None]
        layered = np.stack([found(y) for y in range(len(exact))])
        np.testing.assert_allclose(layered, exact, atol=1e-13)
        kept = hierarchy.processed(joint, found.statistics[0].array)
        assert information(kept) == pytest.approx(information(joint), abs=1e-12)

    @pytest.mark.parametrize("seed", range(3))
    def test_intermediate_posteriors(self, seed):
        """Every T_i is sufficient, by sums over paths, and minimal: a merger of classes loses."""
        chain = hierarchy.random_hierarchy(3, key=jax.random.key(10 + seed))
        found, p = hierarchy.distill(chain), paths(chain)
        for i in range(3):
            joint = p.sum(axis=tuple(k for k in range(3) if k != i))
            t = found.statistics[i].array
            full = information(joint)
            assert information(hierarchy.processed(joint, t)) == pytest.approx(full, abs=1e-12)
            for a, b in itertools.combinations(range(t.max() + 1), 2):
                merged = np.where(t == b, a, t)
                assert information(hierarchy.processed(joint, merged)) < full - 1e-7

    def test_three_values(self):
        chain = hierarchy.random_hierarchy(2, n_values=3, key=jax.random.key(1))
        assert hierarchy.distill(chain).n_classes == (3, 9, 27)

    def test_a_generic_chain_forgets_nothing(self):
        assert hierarchy.distill(generic((2, 3, 4, 5))).n_classes == (5, 5, 5, 5)

    @pytest.mark.parametrize("seed", range(3))
    def test_proportional_rows(self, seed):
        """Two data states with proportional likelihoods are one for all that lies above."""
        chain = generic((2, 3, 4), seed)
        last = np.asarray(chain.matrices[1])
        split = np.concatenate([last, 0.4 * last[1:2]])
        split[1] *= 0.6
        found = hierarchy.distill(MarkovHierarchy((chain.matrices[0], split), chain.prior))
        assert found.n_classes == (4, 4, 5)
        assert found.statistics[0].array.tolist() == [0, 1, 2, 3, 1]

    def test_upwards_there_is_no_function(self):
        found = hierarchy.distill(hierarchy.random_hierarchy(3, key=jax.random.key(0)))
        with pytest.raises(SettingError, match="no function"):
            hierarchy.factor_through(found.statistics[2].array, found.statistics[1].array)

    def test_profile(self):
        chain = hierarchy.random_hierarchy(4, key=jax.random.key(5))
        found = hierarchy.information_profile(chain)
        p = paths(chain)
        for k in range(5):
            others = tuple(j for j in range(1, 5) if j != k)
            joint = p.sum(axis=others) if k else np.diag(np.asarray(chain.prior))
            assert found.levels[k] == pytest.approx(information(joint), abs=1e-12)
        np.testing.assert_allclose(found.levels, found.statistics, atol=1e-12)
        assert np.all(np.diff(found.levels) < 0)
        assert found.n_states == (2, 4, 8, 16, 32) and set(found.n_classes) == {2}

    def test_information_is_differentiable_in_the_noise(self):
        """dI/dp of the cascade against its closed form, I = ln 2 - h((1 - (1 - 2p)^n) / 2)."""

        def value(p):
            chain = hierarchy.binary_symmetric_cascade(p, 3)
            return hierarchy.mutual_information(chain.joint(0, 3))

        p = 0.1
        q = (1 - (1 - 2 * p) ** 3) / 2
        slope = -np.log((1 - q) / q) * 3 * (1 - 2 * p) ** 2
        assert float(jax.grad(value)(p)) == pytest.approx(slope, rel=1e-12)
