"""Agreement reports on estimates that are made up, and on real ones."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models
from physdl.errors import PhysdlError
from physdl.estimators import Agreement, Compare, Status

H = models.ising(lattices.square(3, 3), 0.3)


def made_up(log_z, stderr, status=Status.OK, lower=-np.inf, upper=np.inf):
    number = lambda x: jnp.asarray(x, float)
    return estimators.Estimate(
        number(log_z),
        number(stderr),
        number(lower),
        number(upper),
        jnp.asarray(status, jnp.int32),
        {},
        method="made up",
        n_sites=9,
    )


def test_pulls_and_the_joined_value():
    a, b = made_up(10.0, 0.3, lower=9.0), made_up(11.0, 0.4, upper=11.5)
    agreement = Agreement({"a": a, "b": b})
    np.testing.assert_allclose(agreement.pulls, [[0, -2], [2, 0]], rtol=1e-9)
    joined = agreement.estimate
    weights = np.array([1 / 0.09, 1 / 0.16])
    assert float(joined.log_z) == pytest.approx(weights @ [10, 11] / weights.sum())
    assert float(joined.stderr) == pytest.approx(weights.sum() ** -0.5)
    assert (float(joined.lower), float(joined.upper)) == (9.0, 11.5)
    assert Status(int(joined.status)) is Status.OK and agreement.disagreements == []


def test_disagreement_is_named_and_spoils_the_joined_value():
    estimates = {"a": made_up(10.0, 0.1), "b": made_up(11.0, 0.1), "c": made_up(10.1, 0.1)}
    agreement = Agreement(estimates)
    (first, second) = agreement.disagreements
    assert first[:2] == ("a", "b") and second[:2] == ("b", "c")
    assert first[2] == pytest.approx(-1 / 0.1 / 2**0.5)
    assert Status(int(agreement.estimate.status)) is Status.UNCONVERGED
    assert "a and b are 7.1 standard errors apart" in repr(agreement)


def test_what_is_not_trusted_is_shown_but_not_joined():
    agreement = Agreement({"good": made_up(10.0, 0.1), "bad": made_up(15.0, 0.1, Status.FEW)})
    assert float(agreement.estimate.log_z) == pytest.approx(10.0)
    assert Status(int(agreement.estimate.status)) is Status.OK
    assert [p[:2] for p in agreement.disagreements] == [("good", "bad")]
    alone = Agreement({"bad": made_up(15.0, np.nan, Status.FEW)}).estimate
    assert Status(int(alone.status)) is Status.FEW and np.isnan(float(alone.stderr))


def test_exact_methods_are_compared_within_rounding():
    methods = {"enumeration": estimators.Enumeration(), "transfer": estimators.TransferMatrix()}
    agreement = Compare(methods)(H, key=jax.random.key(0))
    assert agreement.disagreements == [] and float(agreement.estimate.stderr) == 0
    off = Agreement({"a": made_up(10.0, 0.0), "b": made_up(10.0 + 1e-6, 0.0)})
    assert len(off.disagreements) == 1


def test_a_method_that_does_not_apply_is_listed_with_its_reason():
    methods = {"gaussian": estimators.Gaussian(), "enumeration": estimators.Enumeration()}
    agreement = Compare(methods)(H, key=jax.random.key(0))
    assert agreement.names == ("enumeration",)
    assert agreement.refused[0][0] == "gaussian" and "LINE" in agreement.refused[0][1]
    assert "refused" in repr(agreement)
    with pytest.raises(PhysdlError, match="no estimator applies"):
        Compare({"gaussian": estimators.Gaussian()})(H, key=jax.random.key(0))
