"""Swendsen-Wang and Wolff: exact on few sites, and against exact answers on many."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from transition import boltzmann, states_of, transition_matrix

from physdl import lattices, models, reference
from physdl.errors import SpaceError, StructureError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.sampling import _mirrors
from physdl.sampling._couplings import couplings
from physdl.sampling.cluster import SwendsenWang, Wolff
from physdl.spaces import BINARY, SPIN, clock, potts, sphere, spin

pytestmark = pytest.mark.slow

RNG = np.random.default_rng(2)
RING, TRIANGLE = lattices.chain(4), lattices.chain(3)


def normal(*shape):
    return jnp.asarray(RNG.normal(size=shape))


MODELS = {
    "ising": models.ising(RING, 0.5),
    "antiferromagnet": models.ising(lattices.chain(5), -0.6),
    "doubled bonds": models.ising(lattices.square(2, 2), 0.3, 0.4),
    "glass in random fields": models.ising(RING, normal(4), normal(4)),
    "dense": models.sherrington_kirkpatrick(4, 1.0, 0.3),
    "machine": Hamiltonian(
        {"w": Dense(normal(2, 2), (0, 2)), "b": Sites(normal(4), [[0], [1], [2], [3]])},
        space=SPIN,
        shape=(4,),
    ),
    "several terms": Hamiltonian(
        {
            "near": Stencil([0.4], [[[0], [1]]]),
            "far": Sites([0.3, -0.8], [[3, 0], [0, 3]]),
            "field": Sites(0.2, [[0], [0], [2]]),
            "constant": Sites([1.0], np.empty((1, 0), int)),
        },
        space=SPIN,
        shape=(4,),
    ),
    "spin 1/2": Hamiltonian(
        {"pair": Sites(normal(3), [[0, 1], [1, 2], [2, 0]]), "field": Sites(0.7, [[1]])},
        space=spin(0.5),
        shape=(3,),
    ),
    "potts": models.potts(TRIANGLE, 3, 0.7),
    "potts in fields": models.potts(RING, 3, 0.7, normal(4, 3)),
    "potts antiferromagnet": models.potts(TRIANGLE, 3, -0.9),
    "potts glass in fields": models.potts(TRIANGLE, 4, normal(3), normal(3, 4)),
    "clock 3": models.clock(RING, 3, 0.7),
    "clock 4 glass in fields": models.clock(TRIANGLE, 4, normal(3), normal(3, 2)),
}


@pytest.mark.parametrize("kernel", [SwendsenWang(), Wolff()], ids=["SwendsenWang", "Wolff"])
@pytest.mark.parametrize("name", MODELS)
def test_detailed_balance(name, kernel):
    h = MODELS[name]
    states = states_of(h)
    p, matrix = boltzmann(h, states), transition_matrix(kernel, h, states)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    flow = p[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=1e-12)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-12)
    assert np.linalg.matrix_power(matrix, 64).min() > 0


def test_a_wrong_bond_probability_would_be_seen():
    h = MODELS["glass in random fields"]
    states = states_of(h)
    p = boltzmann(h, states)
    other = lambda _, x, *, key: SwendsenWang()(1.02 * h, x, key=key)
    assert np.abs(p @ transition_matrix(other, h, states) - p).max() > 1e-4


@pytest.mark.parametrize(
    "space", [SPIN, potts(3), potts(4), clock(3), clock(4), clock(5), sphere(2), sphere(4)], ids=str
)
def test_mirrors(space):
    """R is an involution and an isometry, and along and group give what a bond loses."""
    n = 6
    key = jax.random.key(1)
    if space == sphere(2) or space == sphere(4):
        x = jax.random.normal(key, (n, space.n_components))
        x = x / jnp.linalg.norm(x, axis=1, keepdims=True)
    else:
        x = jnp.asarray(space.array)[jax.random.randint(key, (n,), 0, space.n_states)]
    for seed in (None, jnp.array(2)):
        for k in jax.random.split(jax.random.key(3), 3):
            seen = _mirrors.mirror(space, x, seed=seed, key=k)
            if seed is None:
                again = _mirrors.mirror(space, seen.image, key=k)
                np.testing.assert_allclose(again.image, x, atol=1e-12)
            else:
                assert np.abs(seen.image[2] - x[2]).max() > 1e-6
            image = seen.image
            np.testing.assert_allclose(image @ image.T, x @ x.T, atol=1e-12)
            lost = x @ x.T - x @ image.T
            product = np.outer(seen.along, seen.along)
            if seen.group is not None:
                product = np.where(seen.group[:, None] == seen.group[None], product, 0)
            np.testing.assert_allclose(product, lost, atol=1e-12)
            if seen.size is not None:
                used = np.abs(product) > 1e-12
                np.testing.assert_allclose(np.abs(product[used]), seen.size)
            if hasattr(space, "points"):
                nearest = np.abs(image[:, None] - space.array[None]).max(axis=2).min(axis=1)
                assert nearest.max() < 1e-15


def sampled(kernel, h, x, n_sweeps, observe, seed=0):
    """Means of observables and infos over sweeps, for each of a batch of chains."""

    def chain(x, key):
        def sweep(x, key):
            x, info = kernel(h, x, key=key)
            return x, {**info, **observe(x)}

        x, seen = jax.lax.scan(sweep, x, jax.random.split(key, n_sweeps))
        return jax.tree.map(lambda v: jnp.mean(v[n_sweeps // 10 :], axis=0), seen)

    return jax.jit(jax.vmap(chain))(x, jax.random.split(jax.random.key(seed), len(x)))


def agree(chains, exact, sigmas=4):
    mean, error = np.mean(chains), np.std(chains, ddof=1) / np.sqrt(len(chains))
    assert abs(mean - exact) < sigmas * error, f"{mean} +/- {error}, exact {exact}"
    return error


@pytest.mark.parametrize(
    "kernel, n_sweeps", [(SwendsenWang(), 400), (Wolff(), 600)], ids=["SwendsenWang", "Wolff"]
)
def test_critical_ising_against_kaufman(kernel, n_sweeps):
    length, k = 16, float(reference.square_critical_coupling())
    h = models.ising(lattices.square(length, length), k)
    start = jnp.ones((24, length, length))
    observe = lambda x: {"energy": h(x) / (-k * length**2), "square": jnp.mean(x) ** 2}
    seen = sampled(kernel, h, start, n_sweeps, observe)
    energy = jax.jit(reference.kaufman_energy, static_argnums=(0, 1))
    exact = -float(energy(length, length, k)) / length**2
    assert agree(seen["energy"], exact) < 8e-3
    improved = seen["cluster_moment" if isinstance(kernel, SwendsenWang) else "cluster_size"]
    agree(np.asarray(improved) - np.asarray(seen["square"]), 0.0)


def test_improved_estimator_is_the_exact_conditional_mean():
    """<cluster_moment> = <m^2> without statistical error: all bonds of a small ring enumerated."""
    for h, moment in (
        (models.ising(TRIANGLE, 0.8), lambda x: np.mean(x, axis=1) ** 2),
        (
            models.potts(TRIANGLE, 3, 0.8),
            lambda x: (3 * np.sum(np.mean(x, axis=1) ** 2, axis=1) - 1) / 2,
        ),
    ):
        states = states_of(h)
        exact = boltzmann(h, states) @ moment(states)
        chosen = np.random.default_rng(0).choice(len(states), p=boltzmann(h, states), size=5000)
        keys = jax.random.split(jax.random.key(0), 5000)
        step = jax.jit(jax.vmap(lambda x, k, h=h: SwendsenWang()(h, x, key=k)[1]))
        agree(step(jnp.asarray(states[chosen]), keys)["cluster_moment"], exact)


@pytest.mark.parametrize("kernel", [SwendsenWang(), Wolff()], ids=["SwendsenWang", "Wolff"])
@pytest.mark.parametrize("components", [2, 3])
def test_vectors_against_exact_chains(kernel, components):
    """The energy of open chains of unit vectors, with couplings of both signs."""
    n, k = 6, jnp.array([0.7, -1.3, 2.0, 0.4, -0.5])
    h = models.o_n(lattices.chain(n, periodic=False), components, k)
    x = jnp.zeros((100, n, components)).at[..., 0].set(1.0)
    observe = lambda x: {"energy": h(x), "length": jnp.max(jnp.abs(jnp.sum(x**2, axis=1) - 1))}
    n_sweeps = 100 if isinstance(kernel, SwendsenWang) else 300
    seen = sampled(kernel, h, x, n_sweeps, observe)
    log_z = {
        2: lambda b: jnp.sum(jnp.log(jax.scipy.special.i0(b * k))),
        3: lambda b: sum(reference.heisenberg_chain_log_z(2, b * kk) for kk in k),
    }[components]
    agree(seen["energy"], -float(jax.grad(log_z)(1.0)))
    assert float(jnp.max(seen["length"])) < 1e-12


@pytest.mark.parametrize("kernel", [SwendsenWang(), Wolff()], ids=["SwendsenWang", "Wolff"])
def test_vectors_in_fields(kernel):
    """Two Heisenberg spins in unequal fields against quadrature over the sphere."""
    k, b = 0.8, np.array([[0.5, -0.3, 0.9], [-0.4, 0.8, 0.1]])
    h = models.heisenberg(lattices.chain(2, periodic=False), k, b)
    z, weight = np.polynomial.legendre.leggauss(16)
    angle = 2 * np.pi * np.arange(32) / 32
    ring = np.sqrt(1 - z**2)[:, None]
    directions = np.stack([ring * np.cos(angle), ring * np.sin(angle), z[:, None] + 0 * angle], -1)
    directions, w = directions.reshape(-1, 3), np.repeat(weight, 32)
    field = directions @ b.T
    joint = np.exp(k * directions @ directions.T + field[:, :1] + field[:, 1]) * np.outer(w, w)
    exact = joint.sum(axis=1) @ directions / joint.sum()
    x = jnp.zeros((100, 2, 3)).at[..., 2].set(1.0)
    seen = sampled(kernel, h, x, 400, lambda x: {"first": x[0]})
    for a in range(3):
        agree(seen["first"][:, a], exact[a])


def test_o_n_reflections_of_whole_systems_cost_nothing():
    """At very strong coupling all sites are one cluster, and the energy cannot change."""
    h = models.heisenberg(lattices.square(4, 4), 1e6)
    x = jax.random.normal(jax.random.key(0), (3,))
    x = jnp.broadcast_to(x / jnp.linalg.norm(x), (4, 4, 3))
    after, info = jax.jit(lambda x, k: SwendsenWang()(h, x, key=k))(x, jax.random.key(1))
    np.testing.assert_allclose(h(after), h(x), rtol=1e-12)
    assert info["largest_cluster"] == 1 and info["n_clusters"] == 1


def test_float32_and_batches():
    with jax.enable_x64(False):
        h = models.ising(lattices.square(8, 8), 0.44, 0.1)
        assert h.dtype == jnp.float32
        x = jnp.ones((4, 8, 8), jnp.float32)
        keys = jax.random.split(jax.random.key(0), 4)
        for kernel in (SwendsenWang(), Wolff()):
            step = jax.jit(lambda x, k, kernel=kernel: kernel(h, x, key=k))
            after, info = jax.jit(jax.vmap(step))(x, keys)
            assert after.dtype == jnp.float32 and all(v.shape == (4,) for v in info.values())
            for i in range(4):
                np.testing.assert_array_equal(after[i], step(x[i], keys[i])[0])
        xy = models.xy(lattices.square(4, 4), 1.0, 0.2)
        x = jnp.zeros((4, 4, 2), jnp.float32).at[..., 0].set(1)
        after, _ = jax.jit(lambda x, k: SwendsenWang()(xy, x, key=k))(x, keys[0])
        assert after.dtype == jnp.float32


def test_couplings_read_off_the_terms():
    h = MODELS["several terms"]
    pairs = couplings(h)
    total = {}
    for (i, j), k in zip(pairs.bonds.array.tolist(), np.asarray(pairs.coupling), strict=True):
        total[tuple(sorted((i, j)))] = total.get(tuple(sorted((i, j))), 0) + k
    expected = {(0, 1): -0.4, (1, 2): -0.4, (2, 3): -0.4, (0, 3): -0.4 - 0.3 + 0.8}
    assert total.keys() == expected.keys()
    np.testing.assert_allclose([total[b] for b in expected], list(expected.values()))
    np.testing.assert_allclose(pairs.field[:, 0], [-0.4, 0, -0.2, 0])
    uniform = couplings(models.potts(lattices.square(4, 4), 3, 0.7))
    assert uniform.coupling.shape == () and uniform.field is None
    table = Sites(0.5, [[[0, 2], [3, 1], [0, 2], [1, 3]]])  # twice x_0 . x_1, in two components
    double = couplings(Hamiltonian({"t": table}, space=clock(4), shape=(2,)))
    np.testing.assert_allclose(double.coupling, [-1.0])


REFUSED = {
    "three spins": (
        Hamiltonian({"t": Sites(1.0, [[0, 1, 2]])}, space=SPIN, shape=(3,)),
        StructureError,
        "'t' multiplies 3 variables",
    ),
    "table": (
        Hamiltonian({"t": Potential(np.zeros((2, 2)), [[0, 1]])}, space=SPIN, shape=(2,)),
        StructureError,
        "'t' is a table of energies",
    ),
    "one component": (
        Hamiltonian({"t": Sites(1.0, [[0, 2]])}, space=sphere(2), shape=(2,)),
        StructureError,
        r"couples sites 0 and 1 otherwise: give it a table of shape \[n, 2, 2\]",
    ),
    "anisotropy of a site": (
        Hamiltonian({"t": Sites(1.0, [[0, 0]])}, space=sphere(2), shape=(1,)),
        StructureError,
        "couples sites 0 and 0 otherwise",
    ),
    "dense binary": (
        Hamiltonian({"t": Dense(np.ones((2, 2)))}, space=BINARY, shape=(2,)),
        SpaceError,
        "got BINARY",
    ),
    "blume capel": (models.blume_capel(RING, 1.0, 0.5), SpaceError, r"got spin\(1\)"),
    "phi4": (models.phi4(RING, r=1.0, u=1.0), SpaceError, "got LINE"),
    "ashkin teller": (models.ashkin_teller(RING, 1.0, 0.5), SpaceError, "SPIN x SPIN"),
}


@pytest.mark.parametrize("kernel", [SwendsenWang(), Wolff()], ids=["SwendsenWang", "Wolff"])
@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(name, kernel):
    h, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        jax.eval_shape(lambda: kernel(h, jnp.zeros(h.state_shape), key=jax.random.key(0)))
