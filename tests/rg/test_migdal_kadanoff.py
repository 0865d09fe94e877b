"""Bond moving against golden numbers, closed formulas, exact solutions and bounds."""

import json
import math
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import optimize

from physdl import lattices, models, reference, rg, spaces
from physdl.errors import PhysdlError, SettingError, ShapeError, SpaceError, StructureError
from physdl.rg import RGStatus

GOLDEN = Path(__file__).parents[3] / "shared" / "golden.json"
GUESS = {"d2b2": 0.3, "d2b3": 0.24, "d3b2": 0.065, "d3b3": 0.04, "d4b2": 0.016}


@pytest.fixture(scope="module")
def golden():
    if not GOLDEN.exists():
        pytest.skip("the golden numbers are not beside the project")
    return json.loads(GOLDEN.read_text())["MK"]


@pytest.mark.parametrize("real", [False, True])
@pytest.mark.parametrize("name", GUESS)
def test_fixed_point_and_thermal_exponent(golden, name, real):
    d, b = int(name[1]), int(name[3])
    mk = rg.MigdalKadanoff(scale=float(b) if real else b, dim=d)
    found = rg.fixed_point(mk, jnp.array([GUESS[name]]))
    out = rg.exponents(mk, found)
    assert RGStatus(int(found.status)) is RGStatus(int(out.status)) is RGStatus.OK
    assert float(found[0]) == pytest.approx(golden[name][0], abs=1e-9)
    assert float(out.y[0]) == pytest.approx(golden[name][1], abs=1e-9)


@pytest.mark.parametrize("d, guess", [(2, 0.4), (3, 0.14)])
def test_limit_of_small_steps(golden, d, guess):
    limit = rg.MigdalKadanoffFlow(dim=d)
    found = rg.fixed_point(limit, jnp.array([guess]))
    assert float(found[0]) == pytest.approx(golden[f"d{d}b1"][0], abs=1e-9)
    assert float(rg.exponents(limit, found).y[0]) == pytest.approx(golden[f"d{d}b1"][1], abs=1e-9)


def test_limit_is_the_flow_of_small_scales():
    k, b = jnp.array([0.3]), 1 + 1e-5
    moved = rg.MigdalKadanoff(scale=b, dim=2)(k).couplings - k
    assert float(moved[0] / math.log(b)) == pytest.approx(
        float(rg.MigdalKadanoffFlow(dim=2).beta(k)[0]), rel=1e-4
    )


def test_a_call_of_the_limit_integrates_its_flow():
    limit = rg.MigdalKadanoffFlow(dim=2, scale=3.0)
    whole = limit(jnp.array([0.3])).couplings[0]

    def beta(_, k):
        return k + np.sinh(2 * k) * np.log(np.tanh(k)) / 2

    from scipy import integrate

    end = integrate.solve_ivp(beta, (0, math.log(3)), [0.3], rtol=1e-11, atol=1e-12).y[0, -1]
    assert float(whole) == pytest.approx(end, rel=1e-9)


def potts_step(k, q, b, d):
    """The textbook recursion of e^K: the transmissivity (x - 1) / (x + q - 1) is multiplied."""
    x = math.exp(b ** (d - 1) * k)
    t = ((x - 1) / (x + q - 1)) ** b
    return math.log((1 + (q - 1) * t) / (1 - t))


@pytest.mark.parametrize("q", [2, 3, 4])
@pytest.mark.parametrize("b, d", [(2, 2), (3, 2), (2, 3)])
def test_potts(q, b, d):
    k = optimize.brentq(lambda k: potts_step(k, q, b, d) - k, 0.02, 3.0, xtol=1e-15)
    mk = rg.MigdalKadanoff(b, d, rg.bond(spaces.potts(q)))
    found = rg.fixed_point(mk, jnp.array([0.9 * k]))
    assert float(found[0]) == pytest.approx(k, rel=1e-9)
    y = float(rg.exponents(mk, found).y[0])
    t = (math.exp(b ** (d - 1) * k) - 1) / (math.exp(b ** (d - 1) * k) + q - 1)
    # dK'/dK by the chain rule, K -> x -> t -> t^b -> K'
    x = math.exp(b ** (d - 1) * k)
    inner = b ** (d - 1) * x * q / (x + q - 1) ** 2
    outer = (q - 1) / (1 + (q - 1) * t**b) + 1 / (1 - t**b)
    assert y == pytest.approx(math.log(outer * b * t ** (b - 1) * inner) / math.log(b), abs=1e-9)


def test_magnetic_exponent_of_ising():
    """d h' / d h of one step, written out for b = d = 2."""
    mk = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
    found = rg.fixed_point(mk, jnp.array([0.3, 0.0]))
    out = rg.exponents(mk, found)
    k = float(found[0])
    # moved bonds carry 2 h each side; summing the middle spin of two of them adds tanh(4 K) h
    slope = 2 * (1 + math.tanh(4 * k))
    assert float(out.y[0]) == pytest.approx(math.log2(slope), abs=1e-9)
    assert out.kinds() == ("relevant", "relevant")


@pytest.mark.parametrize("k, h, b", [(0.7, 0.0, 2), (1.5, 0.3, 3), (-0.8, 0.2, 2), (9.0, 1e-3, 2)])
def test_one_dimension_is_exact(k, h, b):
    basis = rg.bond(spaces.SPIN, field=True)
    f = rg.free_energy(rg.MigdalKadanoff(b, 1, basis), jnp.array([k, h / 2]))
    root = math.sqrt(math.sinh(h) ** 2 + math.exp(-4 * k))
    exact = k + math.log(math.cosh(h) + root)
    assert float(-f) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "space", [spaces.potts(5), spaces.clock(6), spaces.spin(1), spaces.levels(3)]
)
def test_one_dimension_of_any_space_is_exact(space):
    basis = rg.bond(space)
    k = jnp.asarray(np.random.default_rng(0).normal(size=len(basis.names)))
    f = rg.free_energy(rg.MigdalKadanoff(2, 1, basis), k)
    top = np.linalg.eigvalsh(np.exp(np.asarray(basis.log_weights(k))))[-1]
    assert float(-f) == pytest.approx(math.log(top), rel=1e-12)


@pytest.mark.parametrize("k", [0.0, 0.2, 0.4406867935, 0.8])
def test_free_energy_is_a_lower_bound(k):
    f = float(rg.free_energy(rg.MigdalKadanoff(2, 2), jnp.array([k])))
    exact = -float(reference.onsager_log_z(k)) if k else -math.log(2)
    assert f <= exact + 1e-12
    if k == 0:
        assert f == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize(
    "space", [spaces.clock(5), spaces.spin(1), spaces.spin(1.5), spaces.levels(3)]
)
def test_invariant_functions_are_closed(space):
    basis = rg.bond(space)
    k = jnp.asarray(np.random.default_rng(1).normal(size=len(basis.names)))
    assert float(rg.MigdalKadanoff(2, 2, basis)(k).error) < 1e-12


def test_every_symmetric_table_is_spanned():
    basis = rg.bond(spaces.levels(4), field=True)
    table = np.random.default_rng(2).normal(size=(4, 4))
    k, _, left = basis.couplings(jnp.asarray(table + table.T))
    assert len(k) == 9 and float(left) < 1e-12


def thermal(b, d):
    mk = rg.MigdalKadanoff(scale=b, dim=d)
    return rg.exponents(mk, rg.fixed_point(mk, jnp.array([0.3]))).y[0]


def test_exponents_differentiate_in_scale_and_dimension():
    step = 1e-4
    for k, derivative in enumerate(jax.grad(thermal, argnums=(0, 1))(2.0, 2.0)):
        up, down = np.array([2.0, 2.0]), np.array([2.0, 2.0])
        up[k] += step
        down[k] -= step
        slope = (float(thermal(*up)) - float(thermal(*down))) / (2 * step)
        assert float(derivative) == pytest.approx(slope, abs=1e-6)


def test_the_potts_point_lies_among_the_couplings_of_spin_one():
    """delta(s, s') of three states is 1 + s s'/2 + 3 s^2 s'^2 / 2 - s^2 - s'^2."""
    potts = rg.MigdalKadanoff(2, 2, rg.bond(spaces.potts(3)))
    k = rg.fixed_point(potts, jnp.array([0.7])).couplings
    spin = rg.MigdalKadanoff(2, 2, rg.bond(spaces.spin(1)))
    out = rg.exponents(spin, k * jnp.array([0.5, 1.5, -1.0]))
    assert RGStatus(int(out.status)) is RGStatus.OK
    assert float(out.y[1]) == pytest.approx(float(rg.exponents(potts, k).y[0]), abs=1e-9)


def test_couplings_of_a_hamiltonian():
    basis, k = rg.bond_of(models.blume_capel(lattices.square(6, 6), 0.7, 0.4))
    assert basis.names[0] == "s.s'" and float(k[0]) == pytest.approx(0.7)
    log_w = basis.log_weights(k)
    s = np.array([-1.0, 0.0, 1.0])
    wanted = 0.7 * np.outer(s, s) - 0.1 * (s[:, None] ** 2 + s[None] ** 2)
    np.testing.assert_allclose(log_w - log_w[1, 1], wanted - wanted[1, 1], atol=1e-12)
    basis, k = rg.bond_of(models.ising(lattices.cubic(4, 4, 4), 0.2, 0.3))
    np.testing.assert_allclose(k, [0.2, 0.05], atol=1e-12)


@pytest.mark.parametrize(
    "make, error, match",
    [
        (lambda: rg.MigdalKadanoff(scale=1), SettingError, "above 1"),
        (lambda: rg.MigdalKadanoff(scale=0.5), SettingError, "above 1"),
        (lambda: rg.MigdalKadanoff(dim=0), SettingError, "1 or more"),
        (lambda: rg.MigdalKadanoffFlow(dim=0.5), SettingError, "1 or more"),
        (lambda: rg.MigdalKadanoff()(jnp.array([0.3, 0.1])), ShapeError, "1 couplings"),
        (lambda: rg.bond(spaces.LINE), SpaceError, "finite"),
        (lambda: rg.bond(spaces.levels(65)), SpaceError, "64"),
        (lambda: rg.bond_of(models.ising(lattices.triangular(4, 4), 0.2)), StructureError, "axes"),
        (
            lambda: rg.bond_of(models.phi4(lattices.square(4, 4), r=1.0, u=1.0)),
            SpaceError,
            "finite",
        ),
        (
            lambda: rg.bond_of(models.edwards_anderson(lattices.square(4, 4))),
            StructureError,
            "translation-invariant",
        ),
    ],
)
def test_what_it_cannot_do_is_refused(make, error, match):
    with pytest.raises(error, match=match):
        make()
    assert issubclass(error, PhysdlError)
