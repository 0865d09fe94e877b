"""Fixed points, exponents and critical points of maps that are known in closed form."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import rg, spaces
from physdl.errors import SettingError
from physdl.pytree import module, static
from physdl.rg import RGStatus, RGStep


@module
class Linear:
    """k -> c + A (k - c) + bend |k - c|^2, of any matrix."""

    matrix: jax.Array
    centre: jax.Array
    bend: float = 0.0
    scale: float = static(default=2.0)
    dim: int = static(default=2)

    def __call__(self, couplings):
        k = couplings - self.centre
        after = self.centre + self.matrix @ k + self.bend * jnp.sum(k**2)
        return RGStep(after, jnp.zeros(()), jnp.zeros(()))


@module
class Tree:
    """A map of a dictionary of couplings."""

    scale: int = static(default=2)
    dim: int = static(default=1)

    def __call__(self, couplings):
        after = {"a": couplings["b"] * 1.0, "b": 4 * couplings["a"]}
        return RGStep(after, jnp.zeros(()), jnp.zeros(()))


MATRIX = np.array([[1.7, 0.3, 0.0], [0.1, 0.4, -0.2], [0.0, 0.5, 0.2]])


def linear(matrix=MATRIX, **settings):
    n = len(matrix)
    return Linear(jnp.asarray(matrix), jnp.linspace(0.1, 0.5, n), **settings)


def test_newton_solves_a_linear_map_in_one_step():
    map_ = linear()
    found = rg.fixed_point(map_, jnp.zeros(3))
    np.testing.assert_allclose(found.couplings, map_.centre, rtol=1e-13)
    assert int(found.n_steps) <= 3 and int(found.status) == RGStatus.OK
    assert found[0] == found.couplings[0] and np.asarray(found).shape == (3,)


def test_exponents_are_those_of_numpy():
    out = rg.exponents(linear(bend=0.3), linear().centre)
    values = np.linalg.eigvals(MATRIX)
    np.testing.assert_allclose(out.y, np.sort(np.log2(np.abs(values)))[::-1], rtol=1e-12)
    right, left = np.asarray(out.right), np.asarray(out.left)
    values = np.asarray(out.eigenvalues)
    np.testing.assert_allclose(MATRIX @ right, right * values, atol=1e-12)
    np.testing.assert_allclose(left @ MATRIX, values[:, None] * left, atol=1e-12)
    assert out.kinds() == ("relevant", "irrelevant", "irrelevant")


def test_couplings_may_be_any_tree():
    out = rg.exponents(Tree(), {"a": jnp.zeros(()), "b": jnp.zeros(())})
    np.testing.assert_allclose(np.abs(out.eigenvalues), 2, rtol=1e-12)
    steps = rg.flow(Tree(), {"a": jnp.ones(()), "b": jnp.ones(())}, 2)
    assert steps.couplings["a"].tolist() == [1.0, 4.0]


def test_a_marginal_direction_is_degenerate():
    found = rg.fixed_point(linear(np.diag([2.0, 1.0])), jnp.zeros(2))
    assert int(found.status) == RGStatus.DEGENERATE
    assert rg.exponents(linear(np.diag([2.0, 1.0])), jnp.linspace(0.1, 0.5, 2)).kinds() == (
        "relevant",
        "marginal",
    )


def test_a_spiral_is_told():
    rotation = 1.5 * np.array([[0.0, -1.0], [1.0, 0.0]])
    out = rg.exponents(linear(rotation), jnp.linspace(0.1, 0.5, 2))
    assert int(out.status) == RGStatus.COMPLEX
    np.testing.assert_allclose(out.y, math.log2(1.5), rtol=1e-12)


def test_a_zero_eigenvalue_is_infinitely_irrelevant():
    out = rg.exponents(linear(np.diag([2.0, 0.0])), jnp.linspace(0.1, 0.5, 2))
    assert out.y.tolist() == [1.0, -math.inf]


def test_where_there_is_no_fixed_point():
    @module
    class Away:
        scale: int = static(default=2)
        dim: int = static(default=1)

        def __call__(self, couplings):
            return RGStep(couplings**2 + 1.0, jnp.zeros(()), jnp.zeros(()))

    assert int(rg.fixed_point(Away(), jnp.array([0.3])).status) == RGStatus.UNCONVERGED
    assert int(rg.exponents(Away(), jnp.array([0.3])).status) == RGStatus.UNCONVERGED
    assert int(rg.fixed_point(Away(), jnp.array([jnp.nan])).status) == RGStatus.LEFT


def test_the_implicit_derivative():
    """k* = c and y = log2 of the eigenvalue, so d k*/d c = 1 and d y / d a = 1 / (a log 2)."""

    def fixed(centre):
        map_ = dataclasses.replace(linear(), centre=centre)
        return rg.fixed_point(map_, jnp.zeros(3)).couplings

    np.testing.assert_allclose(jax.jacobian(fixed)(linear().centre), np.eye(3), atol=1e-12)

    def y(a):
        map_ = linear(np.array([[1.0]]))
        map_ = dataclasses.replace(map_, matrix=a[None, None])
        return rg.exponents(map_, rg.fixed_point(map_, jnp.zeros(1))).y[0]

    assert float(jax.grad(y)(jnp.asarray(1.7))) == pytest.approx(1 / (1.7 * math.log(2)))


ISING = rg.MigdalKadanoff(2, 2)


def test_bisection_and_stable_manifold_agree():
    clock = rg.MigdalKadanoff(2, 2, rg.bond(spaces.clock(5)))
    at = rg.fixed_point(clock, jnp.array([0.9, -0.1]))

    def critical(slope, at):
        def line(t):
            return t * jnp.stack([jnp.ones_like(slope), slope])

        return rg.critical_point(clock, line, 0.1, 3.0, at=at, n_steps=80)

    rough = critical(jnp.asarray(0.1), None)
    exact = jax.jit(lambda slope: critical(slope, at))
    found = exact(0.1)
    assert int(rough.status) == int(found.status) == RGStatus.OK
    assert float(rough.parameter) == pytest.approx(float(found.parameter), abs=1e-9)
    step = 1e-4
    difference = (exact(0.1 + step).parameter - exact(0.1 - step).parameter) / (2 * step)
    tangent = jax.jvp(lambda slope: exact(slope).parameter, (0.1,), (1.0,))[1]
    assert float(tangent) == pytest.approx(float(difference), rel=1e-5)


def test_one_phase_has_no_critical_point():
    assert int(rg.critical_point(ISING, lambda t: t[None], 0.4, 1.0).status) == RGStatus.SAME_PHASE
    chain = rg.MigdalKadanoff(2, 1, rg.bond(spaces.SPIN, field=True))
    smooth = rg.critical_point(chain, lambda t: t * jnp.array([0.3, 0.1]), 0.01, 4.0)
    assert int(smooth.status) == RGStatus.SAME_PHASE


def test_a_field_leaves_no_transition():
    field = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
    without = rg.critical_point(field, lambda t: t * jnp.array([1.0, 0.0]), 0.05, 2.0)
    assert float(without.parameter) == pytest.approx(0.304688931718, abs=1e-9)
    found = rg.critical_point(field, lambda t: t * jnp.array([1.0, 0.1]), 0.05, 2.0)
    assert int(found.status) == RGStatus.SAME_PHASE


def test_scaling_relations():
    u = rg.universality(1.58737472, 2.48185119, 3)
    assert float(u.alpha + 2 * u.beta + u.gamma) == pytest.approx(2, rel=1e-12)
    assert float(u.gamma) == pytest.approx(float(u.beta * (u.delta - 1)), rel=1e-12)
    assert float(u.gamma) == pytest.approx(float(u.nu * (2 - u.eta)), rel=1e-12)
    assert float(3 * u.nu) == pytest.approx(float(2 - u.alpha), rel=1e-12)
    # arXiv:2411.15300 by its Delta_sigma and Delta_epsilon
    assert float(u.nu) == pytest.approx(0.62997097, abs=1e-7)
    assert float(u.eta) == pytest.approx(0.03629762, abs=1e-7)


def test_refusals():
    with pytest.raises(SettingError, match="n_steps=0"):
        rg.flow(ISING, jnp.array([0.3]), 0)
    with pytest.raises(SettingError, match="n_steps=0"):
        rg.critical_point(ISING, lambda t: t[None], 0.1, 1.0, n_steps=0)
    with pytest.raises(SettingError, match="n_steps"):
        jax.jit(lambda d: rg.free_energy(rg.MigdalKadanoff(2, d), jnp.array([0.3])))(2.0)
    with pytest.raises(SettingError, match="grid"):
        rg.flow_field(ISING, jnp.zeros(1), jnp.zeros(3))
