r"""Long runs against physics that is known: exact tori, published constants, independent programs.

What is compared with what:

- 2D Ising at K_c: energy and specific heat with Kaufman's formula; <m^2> and the cumulant
  U = 1 - <m^4> / 3 <m^2>^2 with exact values up to L = 16 (``torus_z``) and with their
  extrapolation to L = 32 and 64. Its limit is the U* = 0.61069 of J. Salas and A. D. Sokal, J.
  Stat. Phys. 98, 551 (2000), and of G. Kamieniarz and H. W. J. Bloete, J. Phys. A 26, 201 (1993).
- 3D Ising at K = 0.2216546: a Wolff program that shares nothing with physdl (``wolff_cubic``).
- 3-state Potts: exact tori up to L = 8, the exact critical energy they tend to, and duality.
- XY: an exact torus by integer currents. phi4: Gauss quadrature.
"""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import ive

from physdl import lattices, models, reference, sampling

pytestmark = pytest.mark.slow

KC = math.log(1 + math.sqrt(2)) / 2
KC_POTTS = reference.potts_square_critical_coupling(3)
SPIN_VALUES = np.array([1, -1])

# <m^2>, <m^4> of the critical L x L Ising torus: ``ising_moments``; above 8 its loops were compiled
# with numba, 12 points on the circle (9 digits)
ISING_MOMENTS = {
    8: (0.646911574994, 0.485815234126),
    10: (0.612567683, 0.436395044),
    12: (0.585675437, 0.399354860),
    14: (0.563773321, 0.370306210),
    16: (0.545417204, 0.346753498),
}
# energy per site, m^2 and U with errors, L = 16, K = 0.2216546: 4 10^6 clusters of ``wolff_cubic``
# (a quarter with PCG64, the rest with the Mersenne twister), jackknife over 100 blocks. With
# <m^4>/<m^2>^2 = 1.5538(24) of 10^6 clusters at L = 8, a correction L^-0.83 leads to 1.611(5); M.
# Hasenbusch, Phys. Rev. B 82, 174433 (2010) has 1.6036(1).
CUBIC_16 = {
    "energy": (-1.03464, 0.00025),
    "m2": (0.08542, 0.00015),
    "binder": (0.47370, 0.00059),
}
# energy per site of the critical L x L 3-state Potts torus: ``potts_energy``
POTTS_ENERGIES = {
    4: -1.7100622755047978,
    5: -1.688825397923618,
    6: -1.673735868806216,
    7: -1.662482893895237,
    8: -1.6537673730393552,
}


def torus_z(size, bond, site):
    """Z of a size x size torus, weights bond[a, b] of neighbours and site[..., a] of sites.

    The transfer matrix T between rows is symmetric, so that Tr T^size is the sum over rows of
    (T^(size/2) row)^2; one row of each orbit under translation and reflection is enough.
    """
    q = len(bond)
    rows = np.indices((q,) * size).reshape(size, -1)
    inside = np.prod([bond[rows[i], rows[i - 1]] for i in range(size)], axis=0)
    root = np.sqrt(inside * np.prod(site[..., rows], axis=-2))
    place = q ** np.arange(size)[::-1]
    images = [np.roll(r, k, axis=0) for r in (rows, rows[::-1]) for k in range(size)]
    least = np.min([place @ image for image in images], axis=0)

    def transferred(x):
        x = x * root
        for _ in range(size):
            x = (x.reshape(*root.shape[:-1], q, -1).swapaxes(-1, -2) @ bond).reshape(root.shape)
        return x * root

    total = 0
    for start, weight in zip(*np.unique(least, return_counts=True), strict=True):
        near = np.zeros_like(root)
        near[..., start] = 1
        for _ in range(size // 2):
            near = transferred(near)
        far = transferred(near) if size % 2 else near
        total = total + weight * np.sum(near * far, axis=-1)
    return total


def ising_moments(size, z=torus_z):
    """<m^2> and <m^4> at K_c: Z(h) = Z(0) sum_k <M^k> h^k / k!, by Cauchy's formula on a circle."""
    n, radius = 16, 1 / size**2
    field = radius * np.exp(2j * np.pi * np.arange(n) / n)
    bond = np.exp(KC * np.outer(SPIN_VALUES, SPIN_VALUES))
    series = np.fft.fft(z(size, bond, np.exp(np.multiply.outer(field, SPIN_VALUES)))).real
    series = series / radius ** np.arange(n) / series[0]
    return 2 * series[2] / size**4, 24 * series[4] / size**8


def potts_energy(size, q, coupling):
    """Energy per site of the Potts torus, -d ln Z / dK / N, by a complex step."""
    z = torus_z(size, np.exp((coupling + 1e-20j) * np.eye(q)), np.ones(q))
    return -z.imag / z.real / 1e-20 / size**2


def extrapolated(exact, powers, size):
    """sum_p c_p size^-p through the values of the largest sizes, one for each power."""
    sizes = sorted(exact)[-len(powers) :]
    matrix = np.power.outer(np.array(sizes, float), -np.array(powers))
    c = np.linalg.solve(matrix, [exact[s] for s in sizes])
    return float(c @ np.power(float(size), -np.array(powers)))


def xy_torus(size, coupling, most):
    """ln Z, up to 2 K N, and the variance of the flux of the XY torus, by integer currents.

    exp(K cos t) = sum_n I_n(K) exp(i n t) puts a current n on each bond, conserved at each site; a
    row is passed by ``size`` of them, with |n| <= most, whose sum F is conserved. <F^2> is the
    helicity modulus (K <cos> - K^2 <(sum sin)^2> / N along one axis).
    """
    rows = np.array(list(itertools.product(range(-most, most + 1), repeat=size)))
    bessel = ive(np.arange(2 * most + 1), coupling)
    sums = []
    for flux in range(2 * most + 1):
        own = rows[rows.sum(axis=1) == flux]
        change = np.cumsum(own[:, None] - own[None], axis=2)
        transfer = np.zeros((len(own), len(own)))
        for start in range(-3 * most, 3 * most + 1):
            across = np.abs(start + change)
            weight = np.where(across <= 2 * most, bessel[np.minimum(across, 2 * most)], 0)
            transfer += np.prod(weight, axis=2)
        root = np.sqrt(np.prod(bessel[np.abs(own)], axis=1))
        sums.append(np.trace(np.linalg.matrix_power(root[:, None] * transfer * root, size)))
    weight = np.where(np.arange(len(sums)) == 0, 1, 2) * sums
    return math.log(weight.sum()), float(weight @ np.arange(len(sums)) ** 2 / weight.sum())


def assert_close(found, exact, n_sigma=3.0, most=math.inf, own=0.0):
    """``found`` lies within n_sigma of ``exact``, an error below ``most`` and the exact one's."""
    sigma = math.hypot(float(found.stderr), own)
    assert 0 < float(found.stderr) < most, found
    distance = (float(found.value) - float(exact)) / sigma
    assert abs(distance) < n_sigma, f"{found} is {distance:.2f} sigma from {exact}"


def scaled(series, factor):
    """The mean of a series times a number."""
    return jax.tree.map(lambda v: v * factor, series.mean)


def binder(series):
    """U of the series of m^2, whose squares are m^4."""
    return series.function(lambda m: 1 - m[1] / (3 * m[0] ** 2))


def packed_series(h, kernel, n_draws):
    """Series of the energy and of m^2 of 32 replicas that start aligned; a tenth is discarded."""

    @jax.jit
    def draws(key):
        def draw(state, key):
            state, _ = kernel(h, state, key=key)
            return state, (kernel.energy(h, state), kernel.magnetisation(h, state) / h.n_sites)

        state = kernel.init(h, jnp.ones((kernel.n_replicas, *h.shape)))
        return jax.lax.scan(draw, state, jax.random.split(key, n_draws + n_draws // 10))[1]

    energy, m = (x[n_draws // 10 :].T for x in draws(jax.random.key(len(kernel.rule))))
    return [sampling.Series(x, x**2, thin=kernel.n_sweeps) for x in (energy, m**2)]


def observables(h):
    return {"energy": h, "m2": sampling.OrderParameter(h.space, 2)}


class TestExactTori:
    def test_moments_of_four_by_four(self):
        exact = (0.7613589085686726, 0.6656912132673697)
        np.testing.assert_allclose(ising_moments(4), exact, rtol=1e-12)
        np.testing.assert_allclose(ising_moments(8), ISING_MOMENTS[8], rtol=1e-10)

    def test_energy_is_that_of_kaufman(self):
        exact = reference.kaufman_energy(6, 6, KC) / 36
        np.testing.assert_allclose(2 * potts_energy(6, 2, 2 * KC) + 2, exact, rtol=1e-12)

    def test_potts(self):
        for size in (4, 5, 6):
            exact = POTTS_ENERGIES[size]
            np.testing.assert_allclose(potts_energy(size, 3, KC_POTTS), exact, rtol=1e-12)

    def test_limits_of_the_extrapolations(self):
        far = 1e9
        u = {s: 1 - m4 / (3 * m2**2) for s, (m2, m4) in ISING_MOMENTS.items()}
        assert abs(extrapolated(u, [0, 1.75, 2, 3.75], far) - 0.61069) < 1e-5
        energy = extrapolated(POTTS_ENERGIES, [0, 0.8, 1.6, 2.8], far)
        assert abs(energy - reference.potts_critical_energy(3)) < 2e-3


class TestIsing2D:
    @pytest.mark.parametrize(("size", "n_sweeps"), [(16, 30000), (32, 12000), (64, 7000)])
    def test_swendsen_wang(self, size, n_sweeps):
        h, n = models.ising(lattices.square(size, size), KC), size**2
        out = sampling.run(
            sampling.SwendsenWang(),
            h,
            key=jax.random.key(size),
            n_sweeps=n_sweeps,
            n_chains=8,
            n_warmup=200,
            observables=observables(h),
        )
        exact_energy = reference.kaufman_energy(size, size, KC) / n
        assert_close(scaled(out["energy"], 1 / (KC * n)), exact_energy, most=1e-3)
        heat = jax.tree.map(lambda v: v / n, out["energy"].variance)
        assert_close(heat, reference.kaufman_specific_heat(size, size, KC) / n)
        m2, u = self.exact(size)
        assert_close(scaled(out["m2"], size**0.25), m2, most=1e-2)
        improved = scaled(out.info["cluster_moment"], size**0.25)
        assert_close(improved, m2, most=1e-2)
        assert_close(binder(out["m2"]), u, most=1.5e-3)

    def exact(self, size):
        """<m^2> L^(1/4) and U, known or extrapolated (background of <m^2>, irrelevant terms)."""
        chi = {s: m2 * s**0.25 for s, (m2, _) in ISING_MOMENTS.items()}
        u = {s: 1 - m4 / (3 * m2**2) for s, (m2, m4) in ISING_MOMENTS.items()}
        if size in u:
            return chi[size], u[size]
        return tuple(extrapolated(x, [0, 1.75, 2, 3.75], size) for x in (chi, u))

    def test_wolff_on_four_by_four(self):
        h = models.ising(lattices.square(4, 4), KC)
        spin = lambda power: sampling.OrderParameter(h.space, power)
        out = sampling.run(
            sampling.Wolff(),
            h,
            key=jax.random.key(4),
            n_sweeps=30000,
            n_chains=8,
            observables={"abs_m": spin(1), "m2": spin(2), "m4": spin(4)},
        )
        exact = {"abs_m": 0.8438604448134203, "m2": 0.7613589085686726, "m4": 0.6656912132673697}
        for name, value in exact.items():
            assert_close(out[name].mean, value, most=2e-3)

    @pytest.mark.parametrize("rule", ["metropolis", "heat_bath"])
    def test_packed_spins(self, rule):
        size, n = 32, 32**2
        h = models.ising(lattices.square(size, size), KC)
        energy, m2 = packed_series(h, sampling.PackedIsing(rule=rule, n_sweeps=16), 4000)
        exact = reference.kaufman_energy(size, size, KC) / n
        assert_close(scaled(energy, 1 / (KC * n)), exact, most=1e-3)
        heat = jax.tree.map(lambda v: v / n, energy.variance)
        assert_close(heat, reference.kaufman_specific_heat(size, size, KC) / n)
        chi, u = self.exact(size)
        assert_close(scaled(m2, size**0.25), chi, most=1e-2)
        assert_close(binder(m2), u, most=3e-3)


class TestIsing3D:
    @pytest.mark.parametrize(("name", "most"), [("cluster", 3e-3), ("packed", 1e-3)])
    def test_against_an_independent_program(self, name, most):
        size, coupling = 16, 0.2216546
        h = models.ising(lattices.cubic(size, size, size), coupling)
        if name == "packed":
            energy, m2 = packed_series(h, sampling.PackedIsing(n_sweeps=16), 4000)
        else:
            out = sampling.run(
                sampling.SwendsenWang(),
                h,
                key=jax.random.key(3),
                n_sweeps=3000,
                n_chains=8,
                n_warmup=100,
                observables=observables(h),
            )
            energy, m2 = out["energy"], out["m2"]
        for mean, name in (
            (scaled(energy, 1 / (coupling * size**3)), "energy"),
            (m2.mean, "m2"),
            (binder(m2), "binder"),
        ):
            exact, own = CUBIC_16[name]
            assert_close(mean, exact, own=own, most=most if name == "energy" else 5e-3)


class TestPotts:
    @pytest.mark.parametrize(("size", "n_sweeps"), [(6, 30000), (32, 6000)])
    def test_three_states_at_criticality(self, size, n_sweeps):
        """At size 6 exact; at 32 on the way of the exact energies to their limit, L^(y_T - 2)."""
        h = models.potts(lattices.square(size, size), 3, KC_POTTS)
        out = sampling.run(
            sampling.SwendsenWang(),
            h,
            key=jax.random.key(size),
            n_sweeps=n_sweeps,
            n_chains=8,
            n_warmup=200,
            observables={"energy": h},
        )
        exact = POTTS_ENERGIES.get(size)
        if exact is None:
            limit = reference.potts_critical_energy(3)
            above = {s: e - limit for s, e in POTTS_ENERGIES.items()}
            exact = limit + extrapolated(above, [0.8, 1.6, 2.8], size)
        assert_close(scaled(out["energy"], 1 / (KC_POTTS * size**2)), exact, most=2e-3, own=2e-4)

    def test_duality(self):
        """u(K) - u(K*) dK*/dK = -2 e^K / (e^K - 1) on the infinite lattice; xi << L here."""
        size, coupling = 32, 0.8
        dual = reference.potts_dual_coupling(coupling, 3)
        slope = -math.exp(coupling - dual) * math.expm1(dual) / math.expm1(coupling)
        found = []
        for k in (coupling, dual):
            h = models.potts(lattices.square(size, size), 3, k)
            out = sampling.run(
                sampling.SwendsenWang(),
                h,
                key=jax.random.key(8),
                n_sweeps=1500,
                n_chains=8,
                observables={"energy": h},
            )
            found.append(scaled(out["energy"], 1 / (k * size**2)))
        error = math.hypot(float(found[0].stderr), float(found[1].stderr) * slope)
        value = float(found[0].value) - slope * float(found[1].value)
        exact = -2 * math.exp(coupling) / math.expm1(coupling)
        assert error < 1e-3 and abs(value - exact) < 3 * error, (value, error, exact)


def helicity(coupling, x):
    """K <cos> - K^2 <(sum sin)^2> / N of an axis, the mean of two, of a configuration [L, L, 2]."""
    near = jnp.stack([jnp.roll(x, -1, axis=axis) for axis in (0, 1)])
    cosine = jnp.sum(x[None] * near, axis=(1, 2, 3))
    turned = jnp.stack([-x[..., 1], x[..., 0]], axis=-1)
    sine = jnp.sum(turned[None] * near, axis=(1, 2, 3))
    return jnp.mean(coupling * cosine - coupling**2 * sine**2) / x[..., 0].size


class TestXY:
    @pytest.mark.parametrize("name", ["wolff", "local"])
    def test_small_torus(self, name):
        size, coupling, step = 3, 1.0, 1e-4
        kernel = {
            "wolff": sampling.Wolff(),
            "local": sampling.Cycle((sampling.Metropolis(1.5), sampling.Overrelaxation())),
        }[name]
        h = models.xy(lattices.square(size, size), coupling)
        out = sampling.run(
            kernel,
            h,
            key=jax.random.key(5),
            n_sweeps=30000,
            n_chains=16,
            observables={"energy": h, "helicity": functools.partial(helicity, coupling)},
        )
        log_z, flux = zip(*(xy_torus(size, coupling + d, 4) for d in (-step, 0, step)), strict=True)
        energy = -coupling * ((log_z[2] - log_z[0]) / (2 * step) + 2 * size**2)
        assert_close(out["energy"].mean, energy, most=1.5e-2)
        assert_close(out["helicity"].mean, flux[1], most=1e-2)


PHI4 = {
    "hmc": sampling.HMC(0.2, 4),
    "fourier": sampling.FourierHMC(0.3, 5, mass=2.0),
    "metropolis": sampling.Metropolis(0.7),
}


def mean_square(x):
    return jnp.mean(x**2)


def mean_fourth(x):
    return jnp.mean(x**4)


class TestPhi4:
    @pytest.mark.parametrize("name", PHI4)
    def test_moments(self, name):
        """m^2 = -4, lambda = 6.975 on 4 x 4: Gauss quadrature (``reference.phi4_log_z``)."""
        h = models.phi4(lattices.square(4, 4), r=-4.0, u=6.975)
        out = sampling.run(
            PHI4[name],
            h,
            key=jax.random.key(6),
            n_sweeps=8000,
            n_chains=16,
            observables={"square": mean_square, "fourth": mean_fourth},
        )
        assert_close(out["square"].mean, 0.1673917691, most=1e-3)
        assert_close(out["fourth"].mean, 0.0557089904, most=1e-3)


def wolff_cubic():
    """A Wolff program for the cubic lattice, compiled by numba."""
    from numba import njit

    @njit
    def chain(size, coupling, n_clusters, rng):
        """Energy per site, m^2 and m^4 after each cluster; a twentieth more is discarded."""
        n, p = size**3, 1 - np.exp(-2 * coupling)
        near = np.empty((n, 6), np.int64)
        for i in range(n):
            for axis in range(3):
                stride = size**axis
                x = i // stride % size
                near[i, axis] = i + ((x + 1) % size - x) * stride
                near[i, axis + 3] = i + ((x - 1) % size - x) * stride
        s, m = np.ones(n, np.int8), n
        stack, out = np.empty(n, np.int64), np.empty((n_clusters, 3))
        for t in range(-n_clusters // 20, n_clusters):
            stack[0] = rng.integers(0, n)
            old, top = s[stack[0]], 1
            s[stack[0]] = -old
            while top > 0:
                top -= 1
                i = stack[top]
                m -= 2 * old
                for j in near[i]:
                    if s[j] == old and rng.random() < p:
                        s[j] = -old
                        stack[top] = j
                        top += 1
            if t >= 0:
                bonds = 0
                for i in range(n):
                    bonds += s[i] * (s[near[i, 0]] + s[near[i, 1]] + s[near[i, 2]])
                out[t] = -bonds / n, (m / n) ** 2, (m / n) ** 4
        return out

    return chain
