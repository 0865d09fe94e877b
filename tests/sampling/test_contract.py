"""Every kernel on discrete states leaves exp(-H) / Z invariant, exactly: transition matrices."""

import jax
import numpy as np
import pytest
from transition import boltzmann, states_of, transition_matrix

from physdl import lattices, models, sampling
from physdl.errors import SettingError
from physdl.hamiltonian import Dense, Hamiltonian, Potential, Sites, Stencil
from physdl.spaces import BINARY, SPIN

RNG = np.random.default_rng(3)


def random_pairs(n, extra=()):
    pairs = np.array([[i, (i + 1) % n] for i in range(n)] + list(extra))
    return Sites(RNG.normal(size=len(pairs)), pairs)


def fields(n):
    return Sites(RNG.normal(size=n), np.arange(n)[:, None])


MODELS = {
    "ising box": models.ising(lattices.square(2, 2), 0.4, 0.3),
    "glass on a ring": models.edwards_anderson(lattices.chain(6), 0.7, 0.2, seed=1),
    "next neighbours": Hamiltonian(
        {"t": Stencil(0.4, [[[0], [1]], [[0], [2]]]), "h": Stencil(0.2, [[[0]]])},
        space=SPIN,
        shape=(4,),
    ),
    "glass on a graph": Hamiltonian(
        {"pair": random_pairs(8, [(0, 4), (2, 6)]), "field": fields(8)}, space=SPIN, shape=(8,)
    ),
    "three and four spins": Hamiltonian(
        {
            "three": Sites([0.5, -0.8, 0.3], [[0, 1, 2], [2, 3, 4], [5, 6, 7]]),
            "four": Sites([0.7, -0.4], [[0, 3, 5, 6], [1, 4, 5, 7]]),
        },
        space=SPIN,
        shape=(8,),
    ),
    "dense": models.sherrington_kirkpatrick(6, 1.2, 0.3, seed=2),
    "dense and more": Hamiltonian(
        {
            "pair": Dense(RNG.normal(size=(6, 6))),
            "three": Sites(0.5, [[0, 1, 2], [3, 4, 5]]),
            "table": Potential(RNG.normal(size=(2, 2)), [[0, 5]]),
        },
        space=BINARY,
        shape=(6,),
    ),
    "machine": models.rbm(RNG.normal(size=(5, 3)), RNG.normal(size=5), RNG.normal(size=3)),
    "potts": models.potts(lattices.chain(5), 3, 0.8, 0.3),
    "spin one": models.blume_capel(lattices.square(2, 2), 0.6, 0.4, 0.2),
    "tables": Hamiltonian(
        {
            "pair": Potential(RNG.normal(size=(2, 2)), [[0, 1], [2, 1], [3, 2]]),
            "triple": Potential(RNG.normal(size=(2, 2, 2)), [[4, 0, 3]]),
            "sites": Sites([0.3, -0.5], [[0, 4], [1, 3]]),
        },
        space=BINARY,
        shape=(5,),
    ),
}
SPACE_OF = {name: states_of(h) for name, h in MODELS.items()}

KERNELS = {"heat_bath": sampling.HeatBath(), "metropolis": sampling.Metropolis()}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("name", MODELS)
def test_stationary(name, kernel):
    h, states = MODELS[name], SPACE_OF[name]
    with jax.disable_jit():
        matrix = transition_matrix(KERNELS[kernel], h, states, most=2**26)
    p = boltzmann(h, states)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-12)
    np.testing.assert_allclose(p @ matrix, p, atol=1e-12)
    assert np.linalg.matrix_power(matrix, 64).min() > 0  # every state is reached


def test_a_cycle_is_its_kernels_in_turn():
    h = models.ising(lattices.chain(3), 0.7, 0.2)
    states = states_of(h)
    with jax.disable_jit():
        first, second = (transition_matrix(KERNELS[n], h, states) for n in KERNELS)
        both = transition_matrix(sampling.Cycle(tuple(KERNELS.values())), h, states)
    np.testing.assert_allclose(both, first @ second, atol=1e-13)


def test_a_cycle_takes_kernels_of_one_configuration():
    for kernels in ([], [sampling.HeatBath(), sampling.PackedIsing()]):
        with pytest.raises(SettingError, match="kernels that move one configuration, got"):
            sampling.Cycle(kernels)
