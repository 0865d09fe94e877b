"""What every scheme must do. Add a row to SCHEMES; write no new test here."""

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import estimators, lattices, models, reference, rg, tensors
from physdl.errors import PhysdlError
from physdl.estimators import Status

SCHEMES = {
    "trg": tensors.TRG,
    "btrg": tensors.BTRG,
    "hotrg": tensors.HOTRG,
    "atrg": tensors.ATRG,
}
EXACT_AT = {"trg": 16, "btrg": 16, "hotrg": 16, "atrg": 16}
each_scheme = pytest.mark.parametrize("name", SCHEMES)

SMALL = {
    "ising in a field": models.ising(lattices.square(2, 2), [0.3, 0.5], 0.2),
    "potts": models.potts(lattices.square(2, 2), 3, 0.7, [0.2, 0.0, -0.1]),
    "blume-capel": models.blume_capel(lattices.square(2, 2), 0.5, 0.2, biquadratic=0.3),
    "antiferromagnet": models.ising(lattices.square(2, 2), -0.6),
    "free spins": models.ising(lattices.square(2, 2), 0.0, 0.4),
    "frozen": models.ising(lattices.square(2, 2), 400.0, 1.0),
}


@each_scheme
@pytest.mark.parametrize("model", SMALL)
def test_is_exact_where_nothing_is_cut(name, model):
    h = SMALL[model]
    out = estimators.TensorRG(SCHEMES[name](chi=EXACT_AT[name]))(h)
    assert float(out.log_z) == pytest.approx(brute_force.log_z_of(h), rel=1e-11)
    assert Status(int(out.status)) is Status.OK
    assert float(jnp.max(out.info["error"])) < 1e-6


@each_scheme
def test_is_a_scheme_and_a_map(name):
    scheme = SCHEMES[name](chi=4)
    assert isinstance(scheme, tensors.Scheme)
    map_ = rg.TensorRG(scheme)
    assert isinstance(map_, rg.RGMap)
    start = map_.start(tensors.bulk(models.ising(lattices.square(2, 2), 0.3)))
    step = map_(start)
    assert jax.tree.structure(step.couplings) == jax.tree.structure(start)
    assert jax.tree.map(jnp.shape, step.couplings) == jax.tree.map(jnp.shape, start)
    f = rg.free_energy(map_, start)
    whole = -tensors.log_z_per_tensor(
        scheme, tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    )
    assert float(f) == pytest.approx(float(whole), rel=1e-12)


@each_scheme
@pytest.mark.parametrize("chi", [1, 0, 2.5, True])
def test_refuses_a_bond_dimension(name, chi):
    with pytest.raises(PhysdlError, match="bond dimension"):
        SCHEMES[name](chi=chi)


@each_scheme
def test_refuses_tensors_and_lattices(name):
    scheme = SCHEMES[name](chi=4)
    with pytest.raises(PhysdlError, match="legs"):
        tensors.coarsen(scheme, jnp.ones((2, 3, 2, 2)), 2)
    with pytest.raises(PhysdlError, match="chi=5"):
        tensors.coarsen(scheme, jnp.ones((5, 5, 2, 2)), 2)
    with pytest.raises(PhysdlError, match="n_steps"):
        tensors.coarsen(scheme, jnp.ones((2, 2, 2, 2)), 0)
    with pytest.raises(PhysdlError, match="halved"):
        estimators.TensorRG(scheme)(models.ising(lattices.square(6, 6), 0.3))
    with pytest.raises(PhysdlError, match="translation-invariant"):
        open_box = lattices.square(4, 4, periodic=False)
        estimators.TensorRG(scheme)(models.ising(open_box, 0.3))


@each_scheme
def test_refuses_tensors_that_fill_the_memory(name):
    tensor = tensors.bulk(models.ising(lattices.square(2, 2), 0.3))
    with pytest.raises(PhysdlError, match="chi=300"):
        tensors.coarsen(SCHEMES[name](chi=300), tensor, 1)


@each_scheme
def test_expectation_is_the_derivative_in_a_field(name):
    """On four sites where nothing is cut."""
    h = models.ising(lattices.square(2, 2), [0.3, 0.5], 0.2)
    states = brute_force.all_states(brute_force.POINTS["SPIN"], 4)
    weights = np.array([float(jnp.exp(-h(s.reshape(2, 2)))) for s in states])
    exact = float(weights @ states.mean(axis=(1, 2)) / weights.sum())
    inserted = tensors.impurity(h, models.ising(lattices.square(2, 2), 0.0, -1.0))
    found = tensors.expectation(SCHEMES[name](chi=16), tensors.bulk(h), inserted, (2, 2))
    assert float(found) == pytest.approx(exact, rel=1e-10)


@each_scheme
def test_products_of_matrices_ask_for_full_precision(name):
    """Products of float32 are rounded to ten bits on some accelerators otherwise."""

    def f(k):
        bulk = tensors.bulk(models.ising(lattices.square(2, 2), k))
        return tensors.log_z_per_tensor(SCHEMES[name](chi=6), bulk, 3)

    for function in (f, jax.grad(f), jax.grad(jax.grad(f))):
        written = str(jax.make_jaxpr(function)(0.3))
        assert written.count("HIGHEST, Precision.HIGHEST") == written.count("dot_general") > 0


@pytest.mark.slow
@each_scheme
def test_a_long_torus_is_closed_along_its_longer_side(name):
    scheme = SCHEMES[name](chi=16)
    for shape in ((4, 12), (12, 4)):
        h = models.ising(lattices.square(*shape), [0.3, 0.5])
        truth = float(estimators.TransferMatrix()(h).log_z)
        assert float(estimators.TensorRG(scheme)(h).log_z) == pytest.approx(truth, rel=1e-5)


def random_model(couplings):
    """Different couplings along the axes and a field: no symmetry is left."""
    return models.ising(lattices.square(2, 2), couplings[:2], couplings[2])


def differences(f, x, direction, step):
    values = [f(x + k * step * direction) for k in (-2, -1, 0, 1, 2)]
    first = (values[0] - 8 * values[1] + 8 * values[3] - values[4]) / (12 * step)
    second = -values[0] + 16 * values[1] - 30 * values[2] + 16 * values[3] - values[4]
    return first, second / (12 * step**2)


@each_scheme
def test_derivatives_agree_with_differences_on_random_models(name):
    rng = np.random.default_rng(5)
    scheme = SCHEMES[name](chi=6)
    models_ = jnp.asarray(rng.uniform([0.1, 0.1, 0.05], [0.7, 0.7, 0.5], size=(20, 3)))
    directions = jnp.asarray(rng.normal(size=(20, 3)))

    def f(couplings):
        return tensors.log_z_per_tensor(scheme, tensors.bulk(random_model(couplings)), 6)

    def both(x, v):
        slope = jax.grad(f)
        return slope(x) @ v, jax.jvp(slope, (x,), (v,))[1] @ v

    first, second = jax.jit(jax.vmap(both))(models_, directions)
    expected = jax.jit(jax.vmap(lambda x, v: differences(f, x, v, 1e-4)))(models_, directions)
    np.testing.assert_allclose(first, expected[0], rtol=1e-7, atol=1e-7)
    np.testing.assert_allclose(second, expected[1], rtol=1e-4, atol=1e-4)


@each_scheme
@pytest.mark.parametrize("dtype", [pytest.param(jnp.float32, marks=pytest.mark.slow), jnp.float64])
def test_symmetric_tensors_have_finite_derivatives(name, dtype):
    scheme = SCHEMES[name](chi=8)

    def f(k):
        return tensors.log_z_per_tensor(
            scheme, tensors.bulk(models.ising(lattices.square(2, 2), k)).astype(dtype), 16
        )

    @jax.jit
    def derivatives(k):
        return f(k), *jax.jvp(jax.grad(f), (k,), (jnp.ones_like(k),))

    for k in (0.2, float(reference.square_critical_coupling()), 0.6):
        found = derivatives(jnp.asarray(k, dtype))
        assert all(x.dtype == dtype and bool(jnp.isfinite(x)) for x in found)
        assert float(found[0]) == pytest.approx(float(reference.onsager_log_z(k)), rel=1e-4)


@each_scheme
def test_batches_compile_once(name):
    traces = []

    @jax.jit
    def f(k):
        traces.append(1)
        bulk = tensors.bulk(models.ising(lattices.square(2, 2), k))
        return tensors.log_z_per_tensor(SCHEMES[name](chi=4), bulk, 10)

    ks = jnp.array([0.2, 0.3, 0.5])
    looped = [float(f(k)) for k in ks]
    assert len(traces) == 1
    np.testing.assert_allclose(jax.vmap(f)(ks), looped, rtol=1e-11)


@each_scheme
def test_memory_of_a_gradient(name):
    """Derivatives keep the network and the frames of a step, five to nine tensors in all."""
    scheme = SCHEMES[name](chi=8)
    tensor = tensors.bulk(models.ising(lattices.square(2, 2), 0.4))

    def size(n_steps):
        slope = jax.grad(lambda t: tensors.log_z_per_tensor(scheme, t, n_steps))
        return jax.jit(slope).lower(tensor).compile().memory_analysis().temp_size_in_bytes

    kept = (size(12) - size(6)) / 6
    assert kept < 9 * 8**4 * tensor.dtype.itemsize
