import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from physdl import lattices, models, rg, sampling
from physdl.ensemble import Ensemble
from physdl.errors import LatticeError, SettingError, ShapeError
from physdl.hamiltonian import Hamiltonian

CRITICAL = float(np.log(1 + np.sqrt(2)) / 2)
KEY = jax.random.key(0)


def every_state(h: Hamiltonian) -> Ensemble:
    """All configurations of a few spins with their exact weights."""
    n = h.n_sites
    x = jnp.asarray(np.indices((2,) * n).reshape(n, -1).T * 2.0 - 1).reshape(-1, *h.shape)
    return Ensemble(x[:, None], -jax.vmap(h)(x)[:, None], h=h)


def decimated(k):
    """The exact coupling of a chain of which every other site is summed out."""
    return np.log(np.cosh(2 * k)) / 2


def test_decimated_chain_is_exact():
    k, lattice = 0.7, lattices.chain(8)
    even = rg.operator_basis(lattice, 2, 1)
    odd = rg.operator_basis(lattice, 1, parity="odd")
    found = rg.mcrg(
        every_state(models.ising(lattice, k)),
        rg.BlockDecimation(2),
        even=even,
        odd=odd,
        n_steps=2,
        key=KEY,
    )
    for step in (1, 2):
        # K' = log(cosh 2K) / 2 and h' = h + log(cosh(2K + h) / cosh(2K - h)) / 2, differentiated
        assert np.isclose(found.even.matrix(step)[0, 0], np.tanh(2 * k), rtol=1e-10)
        assert np.isclose(found.odd.matrix(step)[0, 0], 1 + np.tanh(2 * k), rtol=1e-10)
        exponents = found.odd.exponents(step)
        assert np.isclose(exponents.y[0], np.log2(1 + np.tanh(2 * k)), rtol=1e-10)
        k = decimated(k)


def test_matrices_are_derivatives_of_moments():
    """A is the Jacobian of reweighted moments, B the Hessian of log Z of the blocked ensemble."""
    lattice, coarse = lattices.chain(12), lattices.chain(4)
    h, blocks = models.ising(lattice, 0.4), rg.Majority(3)
    fine = every_state(h)
    even = rg.operator_basis(lattice, 2, 2)
    x = fine.states[:, 0]
    after = jax.vmap(lambda y: blocks(y, key=KEY))(x)
    s, s_after = jax.vmap(even)(x), jax.vmap(even)(after)

    def moments(k):
        w = jax.nn.softmax(fine.log_weights[:, 0] + s @ k)
        return w @ s_after

    a = jax.jit(jax.jacobian(moments))(jnp.zeros(2))
    start = even.hamiltonian(jnp.zeros(2), coarse)
    blocked = Ensemble(after[:, None], fine.log_weights, h=start)
    log_z = lambda k: blocked.log_z_of(even.hamiltonian(k, coarse))
    b = jax.jit(jax.hessian(log_z))(jnp.zeros(2))
    found = rg.mcrg(fine, blocks, even=even, n_steps=1, key=KEY)
    np.testing.assert_allclose(found.even.matrix(1), jnp.linalg.solve(b, a), rtol=1e-9)
    np.testing.assert_allclose(found.even.matrix(1, 1), [[a[0, 0] / b[0, 0]]], rtol=1e-9)
    np.testing.assert_allclose(found.even.means.value[1], moments(jnp.zeros(2)), rtol=1e-12)


def test_streamed_chain():
    k, lattice = 0.5, lattices.chain(16)
    h = models.ising(lattice, k)
    even = rg.operator_basis(lattice, 2, 1)
    odd = rg.operator_basis(lattice, 1, parity="odd")
    settings = {"even": even, "odd": odd, "n_steps": 2}
    kernel, blocks = sampling.SwendsenWang(), rg.BlockDecimation(2)
    out = rg.mcrg_run(kernel, h, blocks, key=KEY, n_sweeps=2000, n_chains=16, **settings)
    again = rg.mcrg_run(kernel, h, blocks, key=KEY, n_sweeps=2000, n_chains=16, **settings)
    assert out == again
    tanh = np.tanh(k)  # <s s'> on a ring: (t + t^(L - 1)) / (1 + t^L)
    bond = 16 * (tanh + tanh**15) / (1 + tanh**16)
    for step in (1, 2):
        y_even, y_odd = np.log2(np.tanh(2 * k)), np.log2(1 + np.tanh(2 * k))
        assert abs(out.even.y(step).value - y_even) < 4 * out.even.y(step).stderr
        assert abs(out.odd.y(step).value - y_odd) < 4 * out.odd.y(step).stderr
        k = decimated(k)
    assert out.even.y(1).stderr < 0.05 and out.odd.y(1).stderr < 0.01
    assert abs(out.even.means.value[0, 0] - bond) < 4 * out.even.means.stderr[0, 0]


@pytest.fixture(scope="module")
def square_16():
    """Four operators of either parity on the critical 16 x 16 lattice, two steps."""
    lattice = lattices.square(16, 16)
    return rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(lattice, CRITICAL),
        rg.Majority(2),
        even=rg.operator_basis(lattice, max_range={2: 1.5, 4: 1.5}),
        odd=rg.operator_basis(lattice, 3, 1.5, parity="odd"),
        n_steps=2,
        key=KEY,
        n_sweeps=2500,
        n_chains=16,
    )


def test_square_lattice(square_16):
    """Onsager's exponents, and rows 1 of SCIENCE 5.4, which hardly depend on the size."""
    even, odd = square_16.even, square_16.odd
    assert even.table.value.shape == (2, 3, 3)
    y = even.y(2)
    assert abs(y.value - 1) < 4 * y.stderr and y.stderr < 0.02
    assert abs(even.y(1, 1).value - 0.914) < 4 * even.y(1, 1).stderr + 0.005
    assert abs(even.y(1, 3).value - 0.970) < 4 * even.y(1, 3).stderr + 0.005
    assert abs(odd.y(1).value - 1.881) < 4 * odd.y(1).stderr + 0.002
    assert abs(odd.y(2).value - 1.875) < 4 * odd.y(2).stderr + 0.002
    assert even.exponents(2).kinds(0.1)[:1] == ("relevant",)
    assert jnp.isnan(even.table.value[0, 0, 1])


def test_a_run_out_of_equilibrium_says_so(square_16):
    assert int(square_16.status) == rg.RGStatus.OK
    lattice = lattices.square(16, 16)
    found = rg.mcrg_run(
        sampling.Wolff(),
        models.ising(lattice, CRITICAL),
        rg.Majority(2),
        even=rg.operator_basis(lattice, 2, 1),
        n_steps=1,
        key=KEY,
        n_sweeps=60,
        n_warmup=1,
    )
    assert int(found.status) == rg.RGStatus.UNCONVERGED and "UNCONVERGED" in repr(found)


def test_table_reads_like_the_literature(square_16):
    text = repr(square_16)
    assert "y_T" in text and "y_H" in text and "plaquette" in text and "corner" in text
    y = square_16.even.y(2, 3)
    assert f"{float(y.value):.3f}"[:4] in text


def test_any_map_plugs_in():
    lattice = lattices.chain(8)
    fine = every_state(models.ising(lattice, 0.7))
    even = rg.operator_basis(lattice, 2, 1)

    def learned(x, *, key):
        return jnp.tanh(20 * x[::2])

    own = rg.mcrg(fine, learned, even=even, n_steps=1, scale=2, key=KEY)
    assert np.isclose(own.even.matrix(1)[0, 0], np.tanh(1.4), rtol=1e-10)
    steps = [rg.BlockDecimation(2), learned]
    both = rg.mcrg(fine, steps, even=even, scale=2, key=KEY)
    assert both.even.n_steps == 2
    with pytest.raises(SettingError, match="length ratio"):
        rg.mcrg(fine, learned, even=even, n_steps=1, key=KEY)


def test_two_triangle_steps_make_one_of_scale_3():
    lattice = lattices.triangular(9, 9)
    first, second = (rg.Majority(rg.Triangles(sheared=s)) for s in (False, True))

    def both(x, *, key):
        return second(first(x, key=key), key=key)

    free = models.ising(lattice, 0.0)
    x = jax.random.rademacher(KEY, (4000, 1, 9, 9))
    odd = rg.operator_basis(lattice, 1, parity="odd")
    found = rg.mcrg(Ensemble(x, h=free), both, odd=odd, n_steps=1, scale=3, key=KEY).odd
    # of independent spins <s' s> = 1/2 for each of 3 in a majority, so dh'/dh = (3/2)^2
    assert abs(found.y(1).value - 2 * np.log(1.5) / np.log(3)) < 4 * found.y(1).stderr
    assert found.y(1).stderr < 0.02
    with pytest.raises(LatticeError, match="turn the axes"):
        rg.mcrg(Ensemble(x, h=free), [first, second], odd=odd, key=KEY)


def test_refusals():
    lattice = lattices.square(8, 8)
    h, even = models.ising(lattice, 0.4), rg.operator_basis(lattice, 2, 1)
    ones = Ensemble(jnp.ones((8, 4, 8, 8)), h=h)
    blocks = rg.Majority(2)
    with pytest.raises(SettingError, match="n_steps"):
        rg.mcrg(ones, blocks, even=even, key=KEY)
    with pytest.raises(SettingError, match="operators"):
        rg.mcrg(ones, blocks, n_steps=1, key=KEY)
    with pytest.raises(SettingError, match="block maps"):
        rg.mcrg(ones, [blocks], even=even, n_steps=2, key=KEY)
    with pytest.raises(SettingError, match="run longer"):
        rg.mcrg(ones, blocks, even=even, n_steps=1, key=KEY, n_blocks=64)
    with pytest.raises(SettingError, match="n_blocks"):
        rg.mcrg(ones, blocks, even=even, n_steps=1, key=KEY, n_blocks=2)
    with pytest.raises(ShapeError, match="coincide"):
        rg.mcrg(ones, blocks, even=even, n_steps=3, key=KEY)
    with pytest.raises(ShapeError, match="divides"):
        rg.mcrg(ones, rg.Majority(3), even=even, n_steps=1, key=KEY)
    potts = models.potts(lattice, 3, 1.0)
    with pytest.raises(ShapeError, match="one for each site"):
        rg.mcrg_run(sampling.HeatBath(), potts, blocks, even=even, n_steps=1, key=KEY, n_sweeps=9)
    with pytest.raises(SettingError, match="run longer"):
        rg.mcrg_run(
            sampling.HeatBath(), h, blocks, even=even, n_steps=1, key=KEY, n_sweeps=2, n_chains=2
        )
    found = rg.mcrg(ones, blocks, even=even, n_steps=1, key=KEY)
    assert int(found.even.exponents(1).status) == rg.RGStatus.LEFT
    with pytest.raises(SettingError, match="steps 1 to 1"):
        found.even.y(2)
    with pytest.raises(SettingError, match="index=1"):
        found.even.y(1, index=1)


@pytest.mark.slow
def test_critical_64():
    """Swendsen's table at L = 64: SCIENCE 5.4, golden.json MCRG_L64_step2, and Onsager."""
    lattice = lattices.square(64, 64)
    out = rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(lattice, CRITICAL),
        rg.Majority(2),
        even=rg.operator_basis(lattice, max_range={2: 5**0.5, 4: 1.5}),
        odd=rg.operator_basis(lattice, 3, 2, parity="odd"),
        n_steps=4,
        key=KEY,
        n_sweeps=9400,
        n_chains=32,
        n_warmup=200,
        n_blocks=64,
    )
    y_t, y_h = out.even.y(2), out.odd.y(2)
    assert abs(y_t.value - 1.000) < 0.005 and y_t.stderr < 0.003
    assert abs(y_h.value - 1.876) < 0.002 and y_h.stderr < 0.0003
    golden = {
        (1, 1): (0.9141, 0.0014),
        (1, 3): (0.9703, 0.0015),
        (2, 2): (1.0002, 0.0013),
        (2, 5): (1.0008, 0.0014),
        (3, 3): (1.0002, 0.0016),
        (4, 2): (0.9978, 0.0014),
    }
    for (step, n), (value, error) in golden.items():
        y = out.even.y(step, n)
        assert abs(y.value - value) < 4 * np.hypot(error, y.stderr)
    for step, value in enumerate((1.8811, 1.8761, 1.8746, 1.8741), start=1):
        y = out.odd.y(step)
        assert abs(y.value - value) < 4 * np.hypot(0.0003, y.stderr)


def test_replicas_of_one_state_are_blocks_of_their_own():
    lattice = lattices.chain(16)
    out = rg.mcrg_run(
        sampling.PackedIsing(n_sweeps=20),
        models.ising(lattice, 0.5),
        rg.BlockDecimation(2),
        odd=rg.operator_basis(lattice, 1, parity="odd"),
        n_steps=1,
        key=KEY,
        n_sweeps=200,
        n_chains=64,
    )
    assert out.odd.sums.weight.shape == (64,)
    y = out.odd.y(1)
    assert abs(y.value - np.log2(1 + np.tanh(1.0))) < 4 * y.stderr and y.stderr < 0.02


def test_cubic_lattice_of_free_spins():
    """A majority of 8 free spins holds <s' s> = C(8, 4) / 2^8 of each, and pairs meet on a face."""
    lattice, share = lattices.cubic(8, 8, 8), 70 / 256
    free = Ensemble(jax.random.rademacher(KEY, (4000, 1, 8, 8, 8)), h=models.ising(lattice, 0.0))
    found = rg.mcrg(
        free,
        rg.Majority(2),
        even=rg.operator_basis(lattice, 2, 1),
        odd=rg.operator_basis(lattice, 1, parity="odd"),
        n_steps=1,
        key=KEY,
    )
    for sector, factor, most in ((found.odd, 8 * share, 0.03), (found.even, 4 * share**2, 0.3)):
        y = sector.y(1)
        assert abs(y.value - np.log2(factor)) < 4 * y.stderr and y.stderr < most


CUBIC = 0.2216  # near K_c; any coupling at which spins are correlated serves


def cubic(kernel, coupling, n_sweeps, seed):
    lattice = lattices.cubic(8, 8, 8)
    return rg.mcrg_run(
        kernel,
        models.ising(lattice, coupling),
        rg.Majority(2),
        even=rg.operator_basis(lattice, 4, 1.5).take(3),
        odd=rg.operator_basis(lattice, 3, 1.5, parity="odd").take(2),
        n_steps=1,
        key=jax.random.key(seed),
        n_sweeps=n_sweeps,
        n_chains=16,
    )


@pytest.mark.slow
def test_cubic_lattice():
    """Cluster and local moves agree, and T is the derivative of the means of other couplings."""
    clusters = cubic(sampling.SwendsenWang(), CUBIC, 4000, 0)
    local = cubic(sampling.HeatBath(), CUBIC, 12_000, 1)
    assert int(clusters.status) == int(local.status) == rg.RGStatus.OK
    for one, other in ((clusters.even, local.even), (clusters.odd, local.odd)):
        for n in range(1, len(one.operators) + 1):
            a, b = one.y(1, n), other.y(1, n)
            assert abs(a.value - b.value) < 4 * np.hypot(a.stderr, b.stderr)
            assert max(a.stderr, b.stderr) < 0.01
    d = 0.004
    low, high = (cubic(sampling.SwendsenWang(), CUBIC + s * d, 4000, 2) for s in (-1, 1))
    slope = (high.even.means.value - low.even.means.value)[1] / (2 * d)
    error = np.hypot(high.even.means.stderr, low.even.means.stderr)[1] / (2 * d)
    own = clusters.even.sums.total().covariances()[0][1]
    chained = own @ clusters.even.matrix(1)[:, 0]
    assert np.all(np.abs(chained - slope) < 4 * error + 0.02 * np.abs(slope))
    assert np.all(error < 0.05 * np.abs(slope))


def test_single_precision():
    """Moments of one ensemble to float32, and a run that knows the exact exponents."""
    lattice = lattices.square(16, 16)
    states = np.asarray(jax.random.rademacher(KEY, (640, 1, 16, 16)))
    k, ring = 0.5, lattices.chain(16)
    tables, dtypes = [], []
    for x64 in (True, False):
        with jax.enable_x64(x64):
            found = rg.mcrg(
                Ensemble(jnp.asarray(states), h=models.ising(lattice, 0.1)),
                rg.Majority(2),
                even=rg.operator_basis(lattice, 4, 1.5),
                odd=rg.operator_basis(lattice, 3, 1.5, parity="odd"),
                n_steps=2,
                key=jax.random.key(0),
            )
            tables.append([np.asarray(s.table.value[..., 0]) for s in (found.even, found.odd)])
            dtypes.append(found.even.table.value.dtype)
            run = rg.mcrg_run(
                sampling.SwendsenWang(),
                models.ising(ring, k),
                rg.BlockDecimation(2),
                odd=rg.operator_basis(ring, 1, parity="odd"),
                n_steps=1,
                key=jax.random.key(0),
                n_sweeps=1000,
            )
            y = run.odd.y(1)
            assert y.value.dtype == dtypes[-1]
            assert abs(float(y.value) - np.log2(1 + np.tanh(2 * k))) < 4 * float(y.stderr)
            assert float(y.stderr) < 0.02
    assert dtypes == [jnp.float64, jnp.float32]
    for double, single in zip(*tables, strict=True):
        np.testing.assert_allclose(single, double, atol=1e-4)


@pytest.mark.slow
def test_errors_are_those_of_many_runs():
    """z of 64 runs against the sum over all 2^16 states of 4 x 4 spins, ties and all."""
    lattice = lattices.square(4, 4)
    h, even = models.ising(lattice, CRITICAL), rg.operator_basis(lattice, 4, 1.5)
    x = every_state(h).states[:, 0]
    s, coarse = (
        np.asarray(jax.vmap(even)(x)),
        np.array(np.indices((2,) * 4).reshape(4, 16).T * 2 - 1),
    )
    s_coarse = np.asarray(jax.vmap(even)(jnp.asarray(coarse.reshape(16, 2, 2), float)))
    total = np.asarray(x).reshape(-1, 2, 2, 2, 2).sum(axis=(2, 4)).reshape(-1, 1, 4)
    p_coarse = np.where(total == 0, 0.5, total * coarse > 0).prod(axis=2)
    w = np.exp(-np.asarray(jax.vmap(h)(x)))
    joint = w[:, None] * p_coarse / w.sum()
    s_coarse = s_coarse - joint.sum(axis=0) @ s_coarse
    a, b = s_coarse.T @ joint.T @ s, (s_coarse * joint.sum(axis=0)[:, None]).T @ s_coarse
    sizes = range(1, 4)
    top = [np.abs(np.linalg.eigvals(np.linalg.solve(b[:n, :n], a[:n, :n]))).max() for n in sizes]
    settings = {"even": even, "n_steps": 1, "n_sweeps": 1600, "n_chains": 16}
    runs = [
        rg.mcrg_run(sampling.SwendsenWang(), h, rg.Majority(2), key=jax.random.key(i), **settings)
        for i in range(64)
    ]
    ys = [[run.even.y(1, n) for n in sizes] for run in runs]
    z = np.array(
        [[(y.value - np.log2(v)) / y.stderr for y, v in zip(r, top, strict=True)] for r in ys]
    )
    assert np.all(np.abs(z.mean(axis=0)) < 4 / np.sqrt(len(z)))
    assert np.all(np.abs((z**2).mean(axis=0) - 31 / 29) < 4 * np.sqrt(2 / len(z)))
    assert all(stats.kstest(column, stats.t(31).cdf).pvalue > 1e-3 for column in z.T)
