"""Repetition and growth, seen on an estimator that is made up."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models
from physdl.errors import PhysdlError, SettingError
from physdl.estimators import Refined, Status
from physdl.pytree import module, static

H = models.ising(lattices.chain(3), 0.3)
KEY = jax.random.key(0)


@module
class Noisy:
    """7 + noise of deviation 1; trusted once it is large enough."""

    size: int = static(default=8)
    enough: int = static(default=8)

    def __call__(self, h, *, key=None):
        status = Status.OK if self.size >= self.enough else Status.FEW
        return estimators.Estimate(
            7 + jax.random.normal(key),
            jnp.asarray(1.0),
            jnp.asarray(6.0),
            jnp.asarray(jnp.inf),
            jnp.asarray(status, jnp.int32),
            {"size": jnp.asarray(self.size)},
            method="noisy",
            n_sites=h.n_sites,
        )

    def larger(self):
        return Noisy(2 * self.size, self.enough)


def test_repeats_until_the_error_is_small_enough():
    out = Refined(Noisy(), stderr=0.1)(H, key=KEY)
    assert int(out.info["n_runs"]) == 100 and float(out.stderr) == pytest.approx(0.1)
    assert abs(float(out.log_z) - 7) < 0.4
    assert (float(out.lower), float(out.upper)) == (6.0, math.inf)


def test_grows_until_it_can_be_trusted_and_forgets_what_was_before():
    out = Refined(Noisy(size=1), stderr=0.5)(H, key=KEY)
    assert int(out.info["size"]) == 8 and int(out.info["n_runs"]) == 4
    assert Status(int(out.status)) is Status.OK


def test_stops_in_time_and_says_that_it_cannot_be_trusted():
    out = Refined(Noisy(size=1, enough=2**40), seconds=0.5)(H, key=KEY)
    assert Status(int(out.status)) is Status.FEW


def test_an_exact_method_runs_once():
    out = Refined(estimators.Enumeration(), seconds=60.0)(H, key=KEY)
    assert int(out.info["n_runs"]) == 1 and float(out.stderr) == 0


def test_derivatives_are_kept():
    method = Refined(estimators.Zwanzig(n_samples=512), stderr=0.005)
    out = method(models.ising(lattices.chain(3), 0.2), key=KEY)
    assert int(out.info["n_runs"]) > 1
    assert float(out.ensemble.log_z) == pytest.approx(float(out.log_z))
    exact = float(estimators.Auto()(models.ising(lattices.chain(3), 0.2)).log_z)
    assert abs(float(out.log_z) - exact) < 4 * float(out.stderr)


def test_refusals():
    for limits in ({}, {"stderr": 0.0}, {"seconds": -1.0}):
        with pytest.raises(SettingError, match="positive"):
            Refined(Noisy(), **limits)
    with pytest.raises(SettingError, match="key"):
        Refined(Noisy(), stderr=0.1)(H)
    with pytest.raises(PhysdlError, match="host"):
        jax.jit(
            lambda k: Refined(Noisy(), stderr=0.1)(models.ising(lattices.chain(3), k), key=KEY)
        )(np.float64(0.3))
