"""What every exact estimator must do. Add a row to EXACT, or to MODELS of contract_models.py."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from contract_models import MODELS, glass, hard_squares

from physdl import estimators, lattices, models, spaces
from physdl.errors import PhysdlError
from physdl.estimators import Status
from physdl.hamiltonian import Hamiltonian, Potential, Sites

EXACT = {
    "enumeration": estimators.Enumeration(),
    "contraction": estimators.Contraction(),
    "transfer_matrix": estimators.TransferMatrix(),
    "planar": estimators.Planar(),
    "boundary_mps": estimators.BoundaryMPS(chi=256),
    "layer_sum": estimators.LayerSum(),
    "auto": estimators.Auto(),
}
SPECIAL = ("planar", "boundary_mps", "layer_sum")
GENERAL = {name: e for name, e in EXACT.items() if name not in SPECIAL}


UNLAYERED = ["three-spin", "mixed levels", "one site"]
PLANE = [
    "ising torus",
    "glass ladder",
    "glass kagome",
    "free spins",
    "tree",
    "two-state potts",
    "one site",
]
PLANE += [name for name in MODELS if name.startswith("zero-field")]
NO_BOX = ["random regular graph", "complete graph", "three-spin", "mixed levels", "rbm"]
NO_BOX += ["free spins", "tree", "one site"]
TOO_COLD = [("boundary_mps", "frozen glass")]


def applies(method, model):
    if method == "planar":
        return model in PLANE
    if method == "boundary_mps":
        return model not in NO_BOX
    if method == "layer_sum":
        return model == "rbm"
    return method != "transfer_matrix" or model not in UNLAYERED


CASES = [
    pytest.param(EXACT[e], MODELS[m], id=f"{e}-{m}")
    for m in MODELS
    for e in EXACT
    if applies(e, m) and (e, m) not in TOO_COLD
]
REFUSED = [
    pytest.param(EXACT[e], MODELS[m], id=f"{e}-{m}")
    for m in MODELS
    for e in EXACT
    if not applies(e, m)
]
each_method = pytest.mark.parametrize("estimator", EXACT.values(), ids=EXACT.keys())
each_general_method = pytest.mark.parametrize("estimator", GENERAL.values(), ids=GENERAL.keys())


def small(estimator):
    """Nine or eight sites that the method can do in a field."""
    if isinstance(estimator, estimators.Planar):
        return lattices.ladder(4, periodic=False)
    if isinstance(estimator, estimators.LayerSum):
        return lattices.bipartite(4, 5)
    return lattices.square(3, 3)


@pytest.mark.parametrize("estimator, h", CASES)
def test_agrees_with_brute_force(estimator, h):
    truth = brute_force.log_z_of(h)
    out = estimator(h)
    assert Status(int(out.status)) is Status.OK
    assert float(out.stderr) == 0
    assert float(out.log_z) == pytest.approx(truth, rel=1e-13, abs=1e-12)
    assert float(out.lower) == float(out.upper) == float(out.log_z)


@pytest.mark.parametrize("estimator, h", REFUSED)
def test_refuses_what_it_cannot_do(estimator, h):
    with pytest.raises(PhysdlError, match=r"use |needs"):
        estimator(h)


@each_method
def test_jit_changes_nothing(estimator):
    h = glass(small(estimator))
    direct, compiled = estimator(h).log_z, jax.jit(lambda h: estimator(h).log_z)(h)
    assert float(direct) == pytest.approx(float(compiled), rel=1e-13)


@each_method
def test_new_couplings_do_not_retrace(estimator):
    traces = []
    lattice = small(estimator)

    @jax.jit
    def log_z(e, h):
        traces.append(1)
        return e(h).log_z

    for k in (0.1, 0.2, 0.3):
        log_z(estimator, models.ising(lattice, jnp.asarray(k)))
    assert len(traces) == 1


@each_method
def test_vmap_over_couplings_is_a_loop(estimator):
    lattice = small(estimator)
    ks = jnp.array([0.1, 0.4, 60.0])
    batched = jax.vmap(lambda k: estimator(models.ising(lattice, k, 0.1)).log_z)(ks)
    looped = [float(estimator(models.ising(lattice, k, 0.1)).log_z) for k in ks]
    np.testing.assert_allclose(batched, looped, rtol=1e-13)


@each_method
def test_first_and_second_derivatives_are_moments(estimator):
    lattice = small(estimator)
    bonds = lattice.bonds.array
    weights = jnp.asarray([0.4, -0.2])
    field = jnp.asarray(np.linspace(-1, 1, lattice.n_sites))

    def log_z(w):
        return estimator(models.ising(lattice, w[0], w[1] * field)).log_z

    gradient, hessian = jax.grad(log_z)(weights), jax.jit(jax.hessian(log_z))(weights)
    states = brute_force.all_states(brute_force.POINTS["SPIN"], lattice.n_sites)[:, :, 0]
    features = np.stack(
        [(states[:, bonds[:, 0]] * states[:, bonds[:, 1]]).sum(1), states @ np.asarray(field)], 1
    )
    log_p = features @ np.asarray(weights)
    p = np.exp(log_p - log_p.max())
    p /= p.sum()
    mean = p @ features
    covariance = (features - mean).T @ ((features - mean) * p[:, None])
    np.testing.assert_allclose(gradient, mean, rtol=1e-11, atol=1e-11)
    np.testing.assert_allclose(hessian, covariance, rtol=1e-10, atol=1e-10)


@each_general_method
def test_an_empty_ensemble_is_zero_and_says_so(estimator):
    forbidden = Potential(np.full((1, 2, 2), np.inf), [[0, 1]])
    pair = Sites(0.3, [[0, 1], [1, 2], [2, 3]])
    h = Hamiltonian({"no": forbidden, "pair": pair}, space=spaces.BINARY, shape=(4,))
    out = estimator(h)
    assert float(out.log_z) == -np.inf
    assert Status(int(out.status)) is Status.ZERO
    gradient = jax.grad(lambda h: estimator(h).log_z)(h)
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))


@each_method
def test_an_undefined_coefficient_is_reported(estimator):
    out = estimator(models.ising(small(estimator), np.nan, 0.1))
    assert Status(int(out.status)) is Status.NONFINITE


@each_general_method
def test_hard_constraints_have_finite_derivatives(estimator):
    gradient = jax.grad(lambda h: estimator(h).log_z)(hard_squares(3, 3))
    assert all(np.all(np.isfinite(leaf)) for leaf in jax.tree.leaves(gradient))
    assert float(-gradient.terms["activity"].coefficient) > 0


@pytest.mark.parametrize("estimator", [EXACT["contraction"], EXACT["transfer_matrix"]])
def test_forbidden_states_do_not_hide_underflow(estimator):
    """All sites are equal, and each half of the fields is beaten by the other in the end."""
    n = 60
    pairs = np.stack([np.arange(n - 1), np.arange(1, n)], axis=1)
    equal = Potential([[0.0, np.inf], [np.inf, 0.0]], pairs)
    field = Potential([[0.0, 30.0]] * (n // 2) + [[30.01, 0.0]] * (n // 2), np.arange(n)[:, None])
    h = Hamiltonian({"equal": equal, "field": field}, space=spaces.BINARY, shape=(n,))
    exact = np.logaddexp(-30.01 * (n // 2), -30.0 * (n // 2))
    assert float(estimator(h).log_z) == pytest.approx(exact, rel=1e-13)
    assert float(jax.jit(lambda: estimator(h).log_z)()) == pytest.approx(exact, rel=1e-13)


@each_method
def test_float32_keeps_its_digits(estimator):
    truth = brute_force.log_z_of(models.ising(small(estimator), 0.4, 0.1))
    with jax.enable_x64(False):
        out = estimator(models.ising(small(estimator), 0.4, 0.1))
        assert out.log_z.dtype == jnp.float32
        assert float(out.log_z) == pytest.approx(truth, rel=3e-6)


@pytest.mark.parametrize("name", ["ising torus", "mixed levels", "potts"])
def test_site_marginals_are_probabilities(name):
    h = MODELS[name]
    p = np.asarray(estimators.site_marginals(h, estimators.Contraction()))
    np.testing.assert_allclose(p.sum(axis=1), 1.0, rtol=1e-12)
    q = np.asarray(estimators.site_marginals(h, estimators.Enumeration()))
    np.testing.assert_allclose(p, q, atol=1e-12)
