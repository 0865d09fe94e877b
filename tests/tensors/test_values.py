"""Coarse-graining against published and exact values."""

import functools
import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models, reference, rg, spaces, tensors
from physdl.errors import PhysdlError
from physdl.hamiltonian import Hamiltonian, Potential, Stencil

GOLDEN = Path(__file__).parents[3] / "shared" / "golden.json"
CRITICAL = float(reference.square_critical_coupling())
SQUARE = lattices.square(2, 2)
HARD_SQUARES_AT_ONE = math.log(1.503048082475332)  # R. J. Baxter, Ann. Comb. 3, 191 (1999)


def relative_error(scheme, bulk, exact, n_steps=None):
    return abs(float(tensors.log_z_per_tensor(scheme, bulk, n_steps)) / exact - 1)


@pytest.mark.parametrize(
    "name, chis", [("TRG", (4, 6, 8, 10, 12, 16)), ("HOTRG", (2, 4, 6, 8, 12))]
)
def test_errors_at_criticality_are_the_tabulated_ones(name, chis):
    assert_tabulated(name, chis)


@pytest.mark.slow
@pytest.mark.parametrize("name, chis", [("TRG", (20, 24, 32)), ("HOTRG", (16, 20, 24))])
def test_errors_at_criticality_for_larger_bonds(name, chis):
    assert_tabulated(name, chis)


def assert_tabulated(name, chis):
    if not GOLDEN.exists():
        pytest.skip("the table of numbers does not travel with the product")
    table = json.loads(GOLDEN.read_text())[f"{name}_relerr_Kc"]
    bulk = tensors.bulk(models.ising(SQUARE, CRITICAL))
    exact = float(reference.onsager_log_z(CRITICAL))
    for chi in chis:
        n_steps = 40 if name == "TRG" else 20
        found = relative_error(getattr(tensors, name)(chi=chi), bulk, exact, n_steps)
        assert found <= 1.05 * table[str(chi)], (chi, found)


@pytest.mark.parametrize("scheme, bound", [(tensors.BTRG(24), 6e-8), (tensors.ATRG(24), 3e-6)])
def test_errors_published_for_other_schemes(scheme, bound):
    """The tolerances of TNRKit.jl's own tests for these schemes and bond dimensions."""
    bulk = tensors.bulk(models.ising(SQUARE, CRITICAL))
    assert relative_error(scheme, bulk, float(reference.onsager_log_z(CRITICAL)), 40) <= bound


@pytest.mark.parametrize("scheme", [tensors.TRG, tensors.BTRG])
def test_parity_changes_the_work_and_not_the_result(scheme):
    @functools.partial(jax.jit, static_argnums=1)
    def value_and_derivatives(k, parity):
        def log_z(k):
            bulk = tensors.bulk(models.ising(SQUARE, k))
            return tensors.log_z_per_tensor(scheme(chi=8, parity=parity), bulk, 6)

        slope = jax.grad(log_z)
        return log_z(k), *jax.jvp(slope, (k,), (jnp.ones_like(k),))

    for k in (0.3, CRITICAL):
        found, expected = (value_and_derivatives(k, parity) for parity in ((0, 1), None))
        np.testing.assert_allclose(found, expected, rtol=1e-9)


def test_a_field_breaks_the_parity():
    bulks = (tensors.bulk(models.ising(SQUARE, 0.4, field)) for field in (0.0, 0.1))
    kept, broken = (tensors.coarsen(tensors.TRG(6, parity=(0, 1)), t, 2) for t in bulks)
    assert not bool(jnp.any(kept.cut))
    assert bool(broken.cut[0])
    assert float(broken.error[0]) > 0.01


def test_parities_that_cannot_be():
    for chi, parity in ((5, (0, 1)), (4, (0, 2))):
        with pytest.raises(PhysdlError, match="parit"):
            tensors.BTRG(chi, parity=parity)
    bulk = tensors.bulk(models.ising(SQUARE, 0.4))
    for parity in ((0, 1, 1), (0,)):
        with pytest.raises(PhysdlError, match="parities of"):
            tensors.coarsen(tensors.TRG(4, parity=parity), bulk, 1)
    with pytest.raises(PhysdlError, match="chi=4"):
        tensors.coarsen(tensors.TRG(2, parity=(0, 0)), bulk, 1)


@pytest.mark.slow
@pytest.mark.parametrize("length", [16, 32, 64])
def test_finite_torus_against_kaufman(length):
    h = models.ising(lattices.square(length, length), CRITICAL)
    exact = float(reference.kaufman_log_z(length, length, CRITICAL))
    found = float(estimators.TensorRG(tensors.BTRG(chi=32))(h).log_z)
    assert found == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("coupling", [0.3, 0.4, 0.5, 0.6])
def test_energy_and_specific_heat_by_differentiation(coupling):
    def log_z(k):
        bulk = tensors.bulk(models.ising(SQUARE, k))
        return tensors.log_z_per_tensor(tensors.HOTRG(chi=16), bulk, 20)

    slope = jax.grad(log_z)
    energy, curvature = jax.jvp(slope, (coupling,), (1.0,))
    tolerance = 1e-5 if coupling == 0.4 else 1e-6
    assert -float(energy) == pytest.approx(float(reference.onsager_energy(coupling)), abs=tolerance)
    heat = float(reference.onsager_specific_heat(coupling))
    assert coupling**2 * float(curvature) == pytest.approx(heat, abs=1e-3)


@pytest.mark.parametrize("observable", [models.ising(SQUARE, 0.0, -1.0), models.ising(SQUARE, 1.0)])
def test_expectations_agree_with_corners_and_edges(observable):
    h = models.ising(SQUARE, 0.42, 0.1)
    bulk, inserted = tensors.bulk(h), tensors.impurity(h, observable)
    around = tensors.CTMRG(chi=16)(bulk).expectation(inserted)
    found = tensors.expectation(tensors.HOTRG(chi=8), bulk, inserted)
    assert float(found) == pytest.approx(float(around), rel=1e-5)


def plaquettes(coupling):
    """Four-spin interactions alone: a product of free bonds on the dual lattice."""
    offsets = [[[0, 0], [0, 1], [1, 0], [1, 1]]]
    term = Stencil(-coupling, offsets)
    return Hamiltonian({"p": term}, space=spaces.SPIN, shape=(4, 4))


def hard_squares(log_activity):
    bonds = Potential([[0.0, 0.0], [0.0, np.inf]], lattices.square(4, 4).bonds)
    activity = Stencil(-log_activity, [[[0, 0]]])
    terms = {"bonds": bonds, "activity": activity}
    return Hamiltonian(terms, space=spaces.BINARY, shape=(4, 4))


def log_z_per_site(h, scheme, sites=1):
    return float(tensors.log_z_per_tensor(scheme, tensors.bulk(h))) / sites


def test_other_lattices():
    """Legs that carry the states of a face hold redundant loops, which costs some accuracy."""
    triangular = models.ising(lattices.triangular(4, 4), 0.2)
    exact = float(reference.triangular_log_z(0.2))
    errors = [abs(log_z_per_site(triangular, tensors.BTRG(chi)) / exact - 1) for chi in (8, 16)]
    assert errors[1] < 1e-5
    assert errors[1] < errors[0] / 3
    honeycomb = models.ising(lattices.honeycomb(4, 4), 0.5)
    assert log_z_per_site(honeycomb, tensors.BTRG(16), sites=2) == pytest.approx(
        float(reference.honeycomb_log_z(0.5)), rel=1e-6
    )


def test_triangular_antiferromagnet_keeps_its_entropy():
    """Near zero temperature 0.323066 nats per site: G. H. Wannier, Phys. Rev. 79, 357 (1950).

    Its ground states are critical and frustrated: chi = 16 gives two to three digits.
    """
    h = models.ising(lattices.triangular(4, 4), -12.0)
    assert log_z_per_site(h, tensors.BTRG(16)) - 12.0 == pytest.approx(0.3230659472, rel=5e-3)


@pytest.mark.parametrize("q, bound", [(3, 1e-5), (4, 5e-4)])
def test_critical_potts_models(q, bound):
    critical = reference.potts_square_critical_coupling(q)
    h = models.potts(SQUARE, q, critical)
    exact = reference.potts_critical_log_z(q)
    assert log_z_per_site(h, tensors.BTRG(20)) == pytest.approx(exact, rel=bound)


def test_square_ice():
    """3/2 log(4/3) nats per vertex: E. H. Lieb, Phys. Rev. 162, 162 (1967)."""
    found = float(tensors.log_z_per_tensor(tensors.BTRG(20), tensors.six_vertex(1.0, 1.0, 1.0)))
    assert found == pytest.approx(1.5 * math.log(4 / 3), rel=2e-4)


def test_hard_squares_at_activity_one():
    assert log_z_per_site(hard_squares(0.0), tensors.TRG(16)) == pytest.approx(
        HARD_SQUARES_AT_ONE, rel=1e-6
    )


def test_plaquettes_alone_are_free():
    k = 0.7
    exact = math.log(2) + math.log(math.cosh(k))
    assert log_z_per_site(plaquettes(k), tensors.BTRG(8)) == pytest.approx(exact, rel=1e-5)


def test_chain():
    found = log_z_per_site(models.potts(lattices.chain(4), 3, 0.8), tensors.HOTRG(4))
    assert found == pytest.approx(math.log(math.exp(0.8) + 2), rel=1e-13)


def test_xy_model_on_a_torus():
    """Sixteen points of the circle differ from all of it by I_16 / I_0 only."""
    k, field = 0.7, 0.3
    clock = models.clock(lattices.square(3, 3), 16, k, field)
    exact = float(estimators.Contraction()(clock).log_z) + 9 * math.log(2 * math.pi / 16)
    tensor = tensors.xy_vertex(k, field, n_max=6)
    row = jnp.einsum("abpq,bcrs,catu->prtqsu", tensor, tensor, tensor).reshape(13**3, 13**3)
    found = float(jnp.log(jnp.trace(row @ row @ row)))
    assert found == pytest.approx(exact, rel=1e-10)


def test_antiferromagnetic_xy_model_is_the_ferromagnetic_one():
    scheme = tensors.TRG(chi=14)
    one, other = (tensors.log_z_per_tensor(scheme, tensors.xy_vertex(k)) for k in (0.8, -0.8))
    assert float(one) == pytest.approx(float(other), rel=1e-6)


@pytest.mark.parametrize("n_max", [0, 65])
def test_xy_model_refuses(n_max):
    with pytest.raises(PhysdlError, match="n_max"):
        tensors.xy_vertex(0.5, n_max=n_max)


def test_clock_model_of_many_states():
    h = models.clock(lattices.square(4, 4), 8, 0.6)
    exact = float(estimators.Contraction()(h).log_z)
    found = float(estimators.TensorRG(tensors.HOTRG(chi=16))(h).log_z)
    assert found == pytest.approx(exact, rel=5e-4)


def test_critical_coupling_from_the_flow():
    map_ = rg.TensorRG(tensors.HOTRG(chi=12))

    def line(k):
        return map_.start(tensors.bulk(models.ising(SQUARE, k)))

    found = rg.critical_point(map_, line, 0.40, 0.48, n_steps=16, phase=tensors.gu_wen_ratio)
    assert float(found.parameter) == pytest.approx(CRITICAL, abs=1e-4)


@pytest.mark.slow
def test_critical_coupling_of_spin_one():
    """K_c = 0.590473(5): P. Butera, M. Pernici, Physica A 506, 22 (2018)."""
    map_ = rg.TensorRG(tensors.HOTRG(chi=12))

    def line(k):
        return map_.start(tensors.bulk(models.blume_capel(SQUARE, k, 0.0)))

    found = rg.critical_point(map_, line, 0.55, 0.65, n_steps=16, phase=tensors.gu_wen_ratio)
    assert float(found.parameter) == pytest.approx(0.590473, abs=1e-5)


@pytest.mark.slow
def test_tricritical_point_of_the_blume_capel_model():
    """T_t = 0.6080(1), D_t = 1.9660(1): W. Kwak et al., Phys. Rev. E 92, 022134 (2015).

    There c = 7/10, and the dimensions are 3/40, 1/5, 7/8, and 43/40 twice.
    """
    bulk = tensors.bulk(models.blume_capel(SQUARE, 1 / 0.6080, 1.9660 / 0.6080))
    found = tensors.conformal_data(tensors.coarsen(tensors.LoopTNR(chi=12), bulk, 8).network, n=6)
    assert float(found.central_charge) == pytest.approx(0.7, abs=5e-3)
    exact = [0.075, 0.2, 0.875, 1.075, 1.075]
    np.testing.assert_allclose(found.dimensions[1:], exact, atol=5e-3)


def of_two_dimensions(network):
    """A cube's tensor closed on itself along the third axis."""
    if isinstance(network, tuple):
        plus, minus = network
        return jnp.einsum("bdek,kace->abcd", plus, minus)
    return jnp.einsum("abcdee->abcd", network)


@pytest.mark.slow
@pytest.mark.parametrize(
    "scheme, expected", [(tensors.HOTRG(chi=7), 4.5255), (tensors.ATRG(chi=10), 4.5221)]
)
def test_critical_temperature_in_three_dimensions(scheme, expected):
    """T_c = 4.51152: the Monte Carlo value quoted by Z. Y. Xie et al. (2012)."""
    map_ = rg.TensorRG(scheme, dim=3)

    def line(t):
        return map_.start(tensors.bulk(models.ising(lattices.cubic(2, 2, 2), 1 / t)))

    def phase(network):
        return tensors.gu_wen_ratio(of_two_dimensions(network))

    found = rg.critical_point(map_, line, 4.4, 4.65, n_steps=8, phase=phase)
    assert float(found.parameter) == pytest.approx(4.51152, rel=5e-3)
    assert float(found.parameter) == pytest.approx(expected, abs=1e-3)
