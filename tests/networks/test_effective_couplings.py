"""Couplings of the visible units against exact marginals, and sums over all configurations."""

import itertools
import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl.errors import SettingError, SpaceError, TooLargeError
from physdl.networks import RBM, marginal_couplings
from physdl.spaces import BINARY, LINE, SPIN, finite, potts, spin


def machine(visible, hidden, n=5, m=3, scale=0.7, seed=0):
    rng = np.random.default_rng(seed)
    parts = [scale * rng.normal(size=s) for s in ((n, m), n, m)]
    return RBM(*parts, visible=visible, hidden=hidden)


KINDS = {
    "binary": (BINARY, BINARY),
    "binary and spin one": (BINARY, spin(1)),
    "spin": (SPIN, SPIN),
    "spin and binary": (SPIN, BINARY),
    "spin and two states": (SPIN, finite([2.0, -0.5])),
}


@pytest.mark.parametrize("scale", [0.1, 0.7, 4.0])
@pytest.mark.parametrize("name", KINDS)
def test_couplings_are_those_of_the_exact_marginal(name, scale):
    """The subset transform of the package; every degree, small weights and saturated units."""
    rbm = machine(*KINDS[name], scale=scale)
    exact = rbm.hamiltonian.marginalise([5, 6, 7]).expand()
    found = marginal_couplings(rbm, 5)
    for degree in range(6):
        mine, other = (h.terms[f"degree_{degree}"] for h in (found, exact))
        if degree:
            assert mine.table == other.table
        np.testing.assert_allclose(
            mine.coefficient, other.coefficient.reshape(-1), atol=2e-12 * max(scale, 1)
        )


@pytest.mark.parametrize("visible", [BINARY, SPIN])
def test_all_orders_are_the_free_energy(visible):
    rbm = machine(visible, SPIN, n=4, m=6)
    h = marginal_couplings(rbm, 4)
    for v in itertools.product(visible.array[:, 0], repeat=4):
        v = jnp.asarray(v)
        assert float(h(v)) == pytest.approx(float(rbm(v)), abs=1e-11)


def test_units_of_one_and_zero_are_exact_near_zero():
    rbm = machine(BINARY, BINARY, n=7, m=4)
    h = marginal_couplings(rbm, 2)
    for on in itertools.combinations(range(7), 2):
        v = jnp.zeros(7).at[np.array(on)].set(1.0)
        assert float(h(v)) == pytest.approx(float(rbm(v)), abs=1e-12)


def test_spins_have_the_best_polynomial_over_all_configurations():
    """Least squares over all 2^n, with numpy."""
    rbm = machine(SPIN, SPIN, n=6, m=4)
    s = np.array(list(itertools.product([-1.0, 1.0], repeat=6)))
    sets = [rows for k in range(3) for rows in itertools.combinations(range(6), k)]
    monomials = np.stack([np.prod(s[:, list(rows)], axis=1) for rows in sets], axis=1)
    energies = np.asarray(jax.vmap(rbm)(jnp.asarray(s)))
    best = np.linalg.lstsq(monomials, energies, rcond=None)[0]
    terms = marginal_couplings(rbm, 2).terms
    found = np.concatenate([np.asarray(terms[f"degree_{k}"].coefficient) for k in range(3)])
    np.testing.assert_allclose(found, best, atol=1e-12)


def test_small_weights_give_the_pairs_of_second_order():
    """J_ij = -sum_j w_ia w_ja sech^2(b_a), up to the fourth order in w."""
    rng = np.random.default_rng(1)
    w, b = rng.normal(size=(4, 3)), rng.normal(size=3)
    wrong = []
    for scale in (0.02, 0.04):
        rbm = RBM(scale * w, 0.0, b, visible=SPIN, hidden=SPIN)
        found = marginal_couplings(rbm, 2).terms["degree_2"]
        i, j = found.table.array.T
        leading = -np.sum((scale * w)[i] * (scale * w)[j] / np.cosh(b) ** 2, axis=1)
        wrong.append(np.abs(found.coefficient - leading).max())
    assert np.log2(wrong[1] / wrong[0]) == pytest.approx(4, abs=0.1)


@pytest.mark.parametrize("visible", [BINARY, SPIN])
def test_derivatives(visible):
    rbm = machine(visible, SPIN, n=4, m=2)

    def value(rbm, f):
        terms = f(rbm).terms
        return jnp.sum(terms["degree_2"].coefficient ** 2) + jnp.sum(terms["degree_3"].coefficient)

    exact = jax.grad(lambda r: value(r, lambda r: r.hamiltonian.marginalise([4, 5]).expand()))(rbm)
    found = jax.jit(jax.grad(lambda r: value(r, lambda r: marginal_couplings(r, 3, n_nodes=400))))(
        rbm
    )
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(exact), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-11)


@pytest.mark.parametrize("visible", [BINARY, SPIN])
def test_a_machine_of_64_units(visible):
    """One triple of a large machine by the mean over the others' exact distribution of fields."""
    rbm = machine(visible, BINARY, n=64, m=64, scale=0.1)
    marginal_couplings(rbm, 3)
    start = time.perf_counter()
    h = marginal_couplings(rbm, 3)
    jax.block_until_ready(h)
    assert time.perf_counter() - start < 60
    assert h.terms["degree_3"].coefficient.shape == (41664,)
    if visible == SPIN:
        mean = np.random.default_rng(3).choice([-1.0, 1.0], size=(200_000, 64))
        energies = np.asarray(jax.lax.map(rbm, jnp.asarray(mean), batch_size=5000))
        rest = energies - np.asarray(
            jax.lax.map(marginal_couplings(rbm, 1), jnp.asarray(mean), batch_size=5000)
        )
        i, j = h.terms["degree_2"].table.array.T
        row = 17
        sample = rest * mean[:, i[row]] * mean[:, j[row]]
        error = sample.std() / np.sqrt(len(sample))
        assert abs(sample.mean() - float(h.terms["degree_2"].coefficient[row])) < 4 * error


def test_refusals():
    with pytest.raises(SpaceError, match=r"hamiltonian\.marginalise"):
        marginal_couplings(machine(SPIN, spin(1)), 2)
    with pytest.raises(SpaceError, match="LINE"):
        marginal_couplings(machine(LINE, BINARY), 2)
    with pytest.raises(SpaceError, match="potts"):
        marginal_couplings(RBM(np.ones((2, 3, 2)), visible=potts(3)), 1)
    for order in (-1, 6, 1.5, True):
        with pytest.raises(SettingError, match="from 0 to 5"):
            marginal_couplings(machine(SPIN, SPIN), order)
    with pytest.raises(SettingError, match="n_nodes=512"):
        jax.jit(lambda r: marginal_couplings(r, 1))(machine(SPIN, SPIN))
    with pytest.raises(SettingError, match="positive"):
        marginal_couplings(machine(SPIN, SPIN), 1, n_nodes=0)
    with pytest.raises(TooLargeError, match="lower order"):
        marginal_couplings(RBM(np.ones((300, 2))), 3)
