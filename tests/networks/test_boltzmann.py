"""Restricted Boltzmann machines against sums over all states, written with numpy."""

import itertools

import brute_force
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.special
from scipy import stats

from physdl import estimators, files, lattices, models, sampling
from physdl.errors import SettingError, ShapeError, SpaceError, StructureError
from physdl.networks import RBM
from physdl.networks.boltzmann import cumulant, drawn, field_of, mean
from physdl.spaces import BINARY, LINE, SPIN, clock, finite, levels, potts, sphere, spin

KEY = jax.random.key(0)
THREE = finite([-1.0, 0.3, 2.0], name="THREE")
UNITS = {"binary": BINARY, "spin": SPIN, "spin one": spin(1), "line": LINE, "three": THREE}
VISIBLE = {**UNITS, "potts": potts(3), "clock": clock(4), "one state": levels(1)}
LAYERS = [(v, h) for v in VISIBLE for h in UNITS]


def machine(visible, hidden, n=3, m=2, seed=0, scale=0.6):
    rng = np.random.default_rng(seed)
    layer = (n, *visible.event_shape)
    parts = [scale * rng.normal(size=s) for s in ((*layer, m), layer, (m,))]
    return RBM(*parts, visible=visible, hidden=hidden)


def states(space, n):
    """All configurations of a layer, or some where it is continuous; [n_states, n, *c]."""
    if space == LINE:
        return np.random.default_rng(8).normal(size=(5, n))
    rows = np.array(list(itertools.product(space.array, repeat=n)))
    return rows.reshape(len(rows), n, *space.event_shape)


def energies(rbm, v, h):
    """E(v, h) of all pairs, [n_v, n_h], with numpy."""
    w, a, b = (np.asarray(leaf) for leaf in (rbm.weights, rbm.visible_bias, rbm.hidden_bias))
    flat = v.reshape(len(v), -1)
    total = -(flat @ a.reshape(-1))[:, None] - (h @ b)[None]
    total = total - flat @ w.reshape(-1, w.shape[-1]) @ h.T
    if rbm.visible == LINE:
        total = total + np.sum(v**2, axis=1)[:, None] / 2
    if rbm.hidden == LINE:
        total = total + np.sum(h**2, axis=1)[None] / 2
    return total


@pytest.mark.parametrize(("visible", "hidden"), LAYERS)
def test_energies_are_those_of_the_formula(visible, hidden):
    rbm = machine(VISIBLE[visible], UNITS[hidden])
    v, h = states(rbm.visible, 3)[:7], states(rbm.hidden, 2)
    expected = energies(rbm, v, h)
    found = jax.vmap(lambda v: jax.vmap(lambda h: rbm.energy(v, h))(jnp.asarray(h)))(jnp.asarray(v))
    np.testing.assert_allclose(found, expected, atol=1e-12)
    if rbm.visible.event_shape and hidden == "line":
        with pytest.raises(SpaceError, match="finite beside vectors"):
            _ = rbm.hamiltonian
        return
    joint, c = rbm.hamiltonian, rbm.visible.n_components
    for i, k in ((0, 0), (-1, -1), (2 % len(v), 1)):
        x, y = v[i], h[k]
        if rbm.visible.event_shape:
            y = np.pad(y[:, None], ((0, 0), (0, c - 1)))
        assert float(joint(np.concatenate([x, y]))) == pytest.approx(expected[i, k], abs=1e-12)


@pytest.mark.parametrize(("visible", "hidden"), [p for p in LAYERS if p[1] != "line"])
def test_the_free_energy_sums_the_hidden_layer(visible, hidden):
    rbm = machine(VISIBLE[visible], UNITS[hidden])
    v, h = states(rbm.visible, 3), states(rbm.hidden, 2)
    e = energies(rbm, v, h)
    np.testing.assert_allclose(
        jax.vmap(rbm)(jnp.asarray(v)), -scipy.special.logsumexp(-e, axis=1), atol=1e-12
    )
    p = scipy.special.softmax(-e, axis=1)
    np.testing.assert_allclose(jax.vmap(rbm.hidden_means)(jnp.asarray(v)), p @ h, atol=1e-12)


@pytest.mark.parametrize(("visible", "hidden"), [p for p in LAYERS if p[0] != "line"])
def test_the_free_energy_of_the_hidden_layer_sums_the_visible_one(visible, hidden):
    rbm = machine(VISIBLE[visible], UNITS[hidden])
    v, h = states(rbm.visible, 3), states(rbm.hidden, 2)
    e = energies(rbm, v, h)
    np.testing.assert_allclose(
        jax.vmap(rbm.hidden_free_energy)(jnp.asarray(h)),
        -scipy.special.logsumexp(-e, axis=0),
        atol=1e-12,
    )
    p = scipy.special.softmax(-e, axis=0)
    found = jax.vmap(rbm.visible_means)(jnp.asarray(h))
    np.testing.assert_allclose(found, np.tensordot(p.T, v, 1), atol=1e-12)


def test_a_layer_on_the_line_is_integrated():
    rbm = machine(LINE, SPIN, n=1, m=2)
    rbm_of_hidden = machine(BINARY, LINE, n=2, m=1)
    for h in states(SPIN, 2):
        weight = lambda v, h=h: np.exp(-energies(rbm, np.array([[v]]), h[None])[0, 0])
        z, _ = scipy.integrate.quad(weight, -20, 20, epsabs=0, epsrel=1e-12)
        moment = lambda v, weight=weight: v * weight(v)
        first, _ = scipy.integrate.quad(moment, -20, 20, epsrel=1e-12)
        assert float(rbm.hidden_free_energy(jnp.asarray(h))) == pytest.approx(-np.log(z), rel=1e-10)
        assert float(rbm.visible_means(jnp.asarray(h))[0]) == pytest.approx(first / z, rel=1e-9)
    for v in states(BINARY, 2):
        weight = lambda h, v=v: np.exp(-energies(rbm_of_hidden, v[None], np.array([[h]]))[0, 0])
        z, _ = scipy.integrate.quad(weight, -20, 20, epsabs=0, epsrel=1e-12)
        assert float(rbm_of_hidden(jnp.asarray(v))) == pytest.approx(-np.log(z), rel=1e-10)


@pytest.mark.parametrize("name", VISIBLE)
@pytest.mark.parametrize("scale", [0.0, 1.0, 300.0])
def test_means_are_derivatives_of_the_cumulant_function(name, scale):
    space = VISIBLE[name]
    field = scale * jax.random.normal(KEY, (4, *space.event_shape))
    k = lambda f: jnp.sum(cumulant(space, f))
    np.testing.assert_allclose(jax.grad(k)(field), mean(space, field), atol=1e-12)
    slope = jax.jvp(lambda f: mean(space, f), (field,), (jnp.ones_like(field),))[1]
    second = jax.jvp(jax.grad(k), (field,), (jnp.ones_like(field),))[1]
    np.testing.assert_allclose(second, slope, atol=1e-12)


@pytest.mark.parametrize("name", [name for name in VISIBLE if name != "line"])
def test_draws_have_the_probabilities_of_the_field(name):
    space, n = VISIBLE[name], 40_000
    field = jnp.asarray(np.random.default_rng(1).normal(size=(2, *space.event_shape)))
    draw = jax.jit(jax.vmap(lambda key: drawn(space, field, key=key)))
    x = np.asarray(draw(jax.random.split(KEY, n))).reshape(n, 2, 1, -1)
    where = np.linalg.norm(x - space.array, axis=-1)
    assert np.all(where.min(axis=-1) < 1e-12)
    for i in range(2):
        p = scipy.special.softmax(space.array @ np.asarray(field[i]).reshape(-1))
        seen = np.bincount(where[:, i].argmin(axis=-1), minlength=len(p))
        if len(p) > 1:
            assert stats.chisquare(seen, n * p).pvalue > 1e-3


def test_draws_on_the_line_are_normal():
    field = jnp.array([0.3, -2.0])
    x = jax.vmap(lambda key: drawn(LINE, field, key=key))(jax.random.split(KEY, 20_000))
    for i in range(2):
        assert stats.kstest(np.asarray(x[:, i]), "norm", (float(field[i]), 1.0)).pvalue > 1e-3


@pytest.mark.parametrize(("visible", "hidden"), [(BINARY, SPIN), (potts(3), BINARY), (SPIN, LINE)])
def test_block_gibbs_keeps_the_marginal(visible, hidden):
    """One sweep v -> h -> v of states drawn exactly, against their own distribution."""
    rbm, n = machine(visible, hidden, n=2, seed=2), 20_000
    v = states(visible, 2)
    p = scipy.special.softmax(-np.asarray(jax.vmap(rbm)(jnp.asarray(v))))
    start = jnp.asarray(v[np.random.default_rng(3).choice(len(v), n, p=p)])

    @jax.jit
    def sweep(v, key):
        one, other = jax.random.split(key)
        return rbm.sample_visible(rbm.sample_hidden(v, key=one), key=other)

    after = np.asarray(jax.vmap(sweep)(start, jax.random.split(KEY, n)))
    same = np.all(np.abs(after[:, None] - v[None]).reshape(n, len(v), -1) < 1e-12, axis=-1)
    assert np.all(same.sum(axis=1) == 1)
    assert stats.chisquare(same.sum(axis=0), n * p).pvalue > 1e-3


@pytest.mark.parametrize("name", VISIBLE)
def test_initial_biases_have_the_means_of_the_data_and_one_more(name):
    space, n = VISIBLE[name], 30
    rng = np.random.default_rng(4)
    if space == LINE:
        data = rng.normal(size=(n, 3))
        wanted = data.mean(axis=0)
    else:
        label = rng.integers(space.n_states, size=(n, 3))
        label[:, 0] = space.n_states - 1  # a column without spread
        data = space.array[label].reshape(n, 3, *space.event_shape)
        extra = space.array.mean(axis=0).reshape(space.event_shape)
        wanted = (data.sum(axis=0) + extra) / (n + 1)
    rbm = RBM.initial(3, 4, visible=space, data=jnp.asarray(data), key=KEY)
    assert np.all(np.isfinite(rbm.visible_bias))
    np.testing.assert_allclose(mean(space, rbm.visible_bias), wanted, atol=1e-12)
    np.testing.assert_allclose(field_of(space, jnp.asarray(data)), rbm.visible_bias)
    assert rbm.weights.shape == (3, *space.event_shape, 4)
    assert not np.any(rbm.hidden_bias)


def test_initial_biases_of_two_states_are_log_odds():
    data = jnp.array([[1.0, 0.0, 1.0]] * 3 + [[0.0, 0.0, 1.0]])
    count = np.array([3.5, 0.5, 4.5])
    found = RBM.initial(3, 2, data=data, key=KEY).visible_bias
    np.testing.assert_allclose(found, np.log(count / (5 - count)), atol=1e-12)


def test_initial_weights():
    rbm = RBM.initial(200, 100, scale=0.3, key=KEY)
    assert float(rbm.weights.std()) == pytest.approx(0.3, rel=4 / np.sqrt(2 * 20000))
    assert float(abs(rbm.weights.mean())) < 4 * 0.3 / np.sqrt(20000)
    assert rbm.n_visible == 200 and rbm.n_hidden == 100


@pytest.mark.parametrize("hidden", ["binary", "spin one", "line"])
def test_the_pairs_of_a_layer_beside_a_gaussian_one(hidden):
    space = UNITS[hidden]
    rbm = machine(LINE, space, n=4, m=3, scale=0.4)
    turned = RBM(rbm.weights.T, rbm.hidden_bias, rbm.visible_bias, visible=space, hidden=LINE)
    for s in states(space, 3)[:6]:
        h = jnp.asarray(s)
        expected = float(rbm.hidden_free_energy(h))
        assert float(rbm.hidden_hamiltonian(h)) == pytest.approx(expected, abs=1e-12)
        assert float(turned(h)) == pytest.approx(expected, abs=1e-12)
        assert float(turned.visible_hamiltonian(h)) == pytest.approx(expected, abs=1e-12)
    with pytest.raises(SpaceError, match="hidden_free_energy"):
        _ = machine(BINARY, LINE).hidden_hamiltonian
    with pytest.raises(SpaceError, match="use free_energy"):
        _ = machine(potts(3), LINE).visible_hamiltonian


@pytest.mark.parametrize("order", [1, 2, 3])
def test_mean_field_of_a_gaussian_machine(order):
    """Couplings W^T W make the error one of W^(2 (order + 1))."""
    rng = np.random.default_rng(3)
    w, a, b = rng.normal(size=(4, 3)), rng.normal(size=4), rng.normal(size=3)
    wrong = []
    for scale in (0.1, 0.14):
        rbm = RBM(scale * w, a, b, visible=LINE)
        found = estimators.TAP(order)(rbm.hidden_hamiltonian)
        assert int(found.status) == estimators.Status.OK
        wrong.append(abs(float(found.log_z - estimators.LayerSum()(rbm).log_z)))
    assert np.log(wrong[1] / wrong[0]) / np.log(1.4) == pytest.approx(2 * (order + 1), abs=0.5)


def test_a_hopfield_memory_is_a_machine_with_gaussian_hidden_units():
    """exp(beta (xi . s)^2 / 2n) is the integral over one Gaussian unit a pattern."""
    xi = np.random.default_rng(2).choice([-1.0, 1.0], size=(2, 6))
    rbm = RBM(np.sqrt(0.7 / 6) * xi.T, visible=SPIN, hidden=LINE)
    memory = models.hopfield(xi, 0.7)
    shift = 0.7 * 2 / 2 + np.log(2 * np.pi)  # the diagonal and the normalisation
    for s in states(SPIN, 6)[::9]:
        assert float(memory(s)) == pytest.approx(float(rbm(jnp.asarray(s))) + shift, abs=1e-12)


def test_gradients_are_differences_of_moments():
    """d log Z / dW = <v h>, by enumeration."""
    rbm = machine(potts(3), SPIN, n=2)
    v, h = states(potts(3), 2), states(SPIN, 2)
    p = scipy.special.softmax(-energies(rbm, v, h))
    log_z = lambda rbm: jax.nn.logsumexp(-jax.vmap(rbm)(jnp.asarray(v)))
    found = jax.grad(log_z)(rbm)
    np.testing.assert_allclose(found.weights, np.einsum("ab,aic,bj->icj", p, v, h), atol=1e-12)
    np.testing.assert_allclose(found.visible_bias, np.einsum("ab,aic->ic", p, v), atol=1e-12)
    np.testing.assert_allclose(found.hidden_bias, np.einsum("ab,bj->j", p, h), atol=1e-12)


def test_second_derivatives_at_zero_weights():
    """The curvature of log 2 cosh f is 1 where f is 0."""
    rbm = RBM(jnp.zeros((1, 1)), visible=SPIN, hidden=SPIN)
    curvature = jax.hessian(lambda f: cumulant(SPIN, f)[0])(jnp.zeros(1))
    assert float(curvature[0, 0]) == 1.0
    f = lambda w: -RBM(w, visible=SPIN, hidden=SPIN)(jnp.ones(1))
    assert float(jax.hessian(f)(rbm.weights)[0, 0, 0, 0]) == 1.0


def test_there_and_back():
    for visible, hidden in [(BINARY, SPIN), (LINE, BINARY), (SPIN, LINE), (LINE, LINE)]:
        rbm = machine(visible, hidden)
        assert RBM.of(rbm.hamiltonian) == rbm
        assert jax.jit(lambda h: RBM.of(h).weights)(rbm.hamiltonian).tolist() == (
            rbm.weights.tolist()
        )
    bare = RBM.of(models.rbm(jnp.ones((3, 2))))
    assert not np.any(bare.visible_bias) and bare.visible == BINARY


@pytest.mark.parametrize(
    "h",
    [
        models.ising(lattices.chain(4), 0.5),
        machine(potts(3), BINARY).hamiltonian,
        machine(LINE, BINARY).hamiltonian * 0.5,
        machine(BINARY, BINARY).hamiltonian + models.rbm(jnp.ones((2, 3))),
    ],
)
def test_other_hamiltonians_are_no_machines(h):
    with pytest.raises(StructureError, match=r"no machine of models\.rbm"):
        RBM.of(h)


def test_vector_units_run_through_every_layer_of_the_package(tmp_path):
    """Files, enumeration, expansion, marginals and heat bath on sites of different vectors."""
    rbm = machine(potts(3), spin(1), n=2, seed=6)
    h = rbm.hamiltonian
    v, u = states(potts(3), 2), states(spin(1), 2)
    log_z = scipy.special.logsumexp(-energies(rbm, v, u))
    for found in (h, h.expand()):
        assert float(estimators.Enumeration()(found).log_z) == pytest.approx(log_z, rel=1e-13)
    assert brute_force.log_z_of(h) == pytest.approx(log_z, rel=1e-13)
    files.write_npz(tmp_path / "machine.npz", h)
    assert files.read_npz(tmp_path / "machine.npz") == h
    visible = h.marginalise([2, 3])
    assert visible.space == potts(3)
    free = [float(rbm(jnp.asarray(s))) for s in v]
    np.testing.assert_allclose([float(visible(s)) for s in v], free, atol=1e-12)
    run = sampling.run(
        sampling.HeatBath(),
        h,
        key=KEY,
        n_sweeps=400,
        n_chains=64,
        n_warmup=50,
        observables={"x": lambda x: x},
    )
    p = scipy.special.softmax(-energies(rbm, v, u))
    exact = np.concatenate(
        [np.einsum("ab,aic->ic", p, v), np.einsum("ab,bj->j", p, u)[:, None] * np.eye(3)[:1]]
    )
    found = run["x"].mean
    spread = np.asarray(found.stderr) > 0  # the idle components of hidden units have none
    z = (np.asarray(found.value) - exact)[spread] / np.asarray(found.stderr)[spread]
    assert np.abs(z).max() < 4.5
    np.testing.assert_allclose(np.asarray(found.value)[~spread], exact[~spread], atol=1e-12)


def test_jit_and_vmap_over_machines():
    one, two = machine(BINARY, SPIN, seed=0), machine(BINARY, SPIN, seed=1)
    both = jax.tree.map(lambda a, b: jnp.stack([a, b]), one, two)
    v = jnp.asarray(states(BINARY, 3)[5])
    found = jax.jit(jax.vmap(lambda rbm: rbm(v)))(both)
    np.testing.assert_allclose(found, [one(v), two(v)], rtol=1e-14)


def test_single_precision():
    wide = machine(potts(3), spin(1))
    rbm = jax.tree.map(lambda leaf: leaf.astype(jnp.float32), wide)
    v = jnp.asarray(states(potts(3), 3)[4])
    assert rbm(v).dtype == jnp.float32
    assert rbm.sample_hidden(v, key=KEY).dtype == jnp.float32
    assert rbm.sample_visible(rbm.hidden_means(v), key=KEY).dtype == jnp.float32
    assert float(rbm(v)) == pytest.approx(float(wide(v)), abs=1e-5)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: RBM(np.ones(3)), ShapeError, r"n_visible, n_hidden\], got \(3,\)"),
        (lambda: RBM(np.ones((3, 2)), visible=potts(3)), ShapeError, r"n_visible, 3, n_hidden"),
        (lambda: RBM(np.ones((3, 2)), np.ones(2)), ShapeError, r"visible bias .* got \(2,\)"),
        (lambda: RBM(np.ones((3, 2)), 0.0, np.ones(3)), ShapeError, r"hidden bias .* got \(3,\)"),
        (lambda: RBM(np.ones((3, 2)), hidden=potts(2)), SpaceError, r"hidden units .*potts\(2\)"),
        (lambda: RBM(np.ones((3, 2)), visible=sphere(2)), SpaceError, r"visible .*sphere\(2\)"),
        (lambda: RBM.initial(0, 2, key=KEY), SettingError, "n_visible=0"),
        (lambda: RBM.initial(2, 2, scale=-1.0, key=KEY), SettingError, "scale=-1"),
        (lambda: RBM.initial(2, 2, data=np.ones((4, 3)), key=KEY), ShapeError, r"got \(4, 3\)"),
        (lambda: RBM.initial(2, 2, data=np.ones((0, 2)), key=KEY), ShapeError, r"got \(0, 2\)"),
    ],
)
def test_what_is_refused(make, error, message):
    with pytest.raises(error, match=message):
        make()
