"""Populations of bonds against the pure map, the exact chain, and zero temperature."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import rg, spaces
from physdl.errors import SettingError, ShapeError


def test_equal_bonds_are_the_pure_map():
    for basis in (None, rg.bond(spaces.potts(3))):
        pure = rg.MigdalKadanoff(2, 3, basis)(jnp.array([0.3]))
        out = rg.RandomBonds(2, 3, basis)(rg.Population(jnp.full((7, 1), 0.3), jax.random.key(0)))
        np.testing.assert_allclose(out.couplings.couplings[:, 0], pure.couplings[0], rtol=1e-12)
        assert float(out.log_weight) == pytest.approx(float(pure.log_weight), rel=1e-12)


def test_the_random_chain_is_exact():
    """log Z per site of a chain is log 2 + <log cosh K>, whatever the signs."""
    k = 1.3 * jax.random.normal(jax.random.key(0), (20_000, 1))
    f = rg.free_energy(rg.RandomBonds(2, 1), rg.Population(k, jax.random.key(1)), 14)
    values = np.log(np.cosh(np.asarray(k)))
    stderr = values.std() / math.sqrt(len(k))
    assert abs(float(-f) - math.log(2) - values.mean()) < 4 * stderr + math.log(2) * 2.0**-14


def test_stiffness_is_that_of_zero_temperature():
    """At T = 0 bonds in series have the product of signs and the least strength."""
    rng = np.random.default_rng(0)
    j = rng.normal(size=400_000)
    widths = []
    for _ in range(6):
        moved = rng.choice(j, (len(j), 2, 4)).sum(2)
        j = np.sign(moved).prod(1) * np.abs(moved).min(1)
        widths.append(np.std(j))
    wanted = np.log2(widths[-1] / widths[0]) / 5
    k = 3000 * jax.random.normal(jax.random.key(2), (100_000, 1))
    steps = rg.flow(rg.RandomBonds(2, 3), rg.Population(k, jax.random.key(3)), 6)
    found = np.std(np.asarray(steps.couplings.couplings)[..., 0], axis=1)
    theta = math.log2(found[-1] / found[0]) / 5
    # relative error of a width is 1 / sqrt(2 n) for n normal bonds, twice that allowed for tails
    stderr = 2 * math.sqrt(2 / 2e5 + 2 / 8e5) / (5 * math.log(2))
    assert abs(theta - wanted) < 4 * stderr
    assert theta > 0.2


def test_two_dimensions_have_no_glass_phase():
    k = 3.0 * jax.random.normal(jax.random.key(4), (20_000, 1))
    steps = rg.flow(rg.RandomBonds(2, 2), rg.Population(k, jax.random.key(5)), 40)
    assert float(jnp.std(steps.couplings.couplings[-1])) < 1e-3


def test_refusals():
    with pytest.raises(SettingError, match="integer scale"):
        rg.RandomBonds(1.5, 2)
    with pytest.raises(SettingError, match="moved whole"):
        rg.RandomBonds(2, 2.5)
    with pytest.raises(ShapeError, match="1 couplings"):
        rg.RandomBonds()(rg.Population(jnp.zeros((5, 2)), jax.random.key(0)))
