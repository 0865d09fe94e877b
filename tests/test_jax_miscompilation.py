"""jaxlib 0.10.2 silently miscompiles a vmapped matrix-vector product followed by a reduction.

Row sums of a (16385 x 3) float64 product were wrong from row 16384 on, on CPU. jaxlib 0.10.1 has
the same fault in float32, from row 32768 on (393216 bytes either way), where the product feeds the
sum and nothing else. ``Dense`` multiplies in between and is right in both.
"""

import jax
import jax.numpy as jnp
import jaxlib
import numpy as np
import pytest

from physdl.hamiltonian import Dense, Hamiltonian
from physdl.spaces import LINE

SINGLE = pytest.param(
    np.float32,
    marks=pytest.mark.xfail(
        jaxlib.__version__ == "0.10.1", reason="miscompiled by jaxlib 0.10.1 on some processors"
    ),
)


def test_the_installed_version_is_not_the_broken_one():
    assert jaxlib.__version__ != "0.10.2"
    assert jax.__version__ != "0.10.2"


@pytest.mark.parametrize("dtype", [np.float64, SINGLE])
def test_row_sums_of_a_vmapped_matrix_vector_product(dtype):
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(3, 3)).astype(dtype)
    row_sum = jax.jit(jax.vmap(lambda v: jnp.sum(matrix @ v)))
    for n in (16384, 16385, 32769, 40000):
        vectors = rng.normal(size=(n, 3))
        sums = row_sum(vectors.astype(dtype))
        np.testing.assert_allclose(sums, (vectors @ matrix.T).sum(axis=1), atol=1e-4)


@pytest.mark.parametrize("x64", [False, True])
@pytest.mark.parametrize("blocks", [None, (0, 3)])
def test_energies_of_many_configurations(x64, blocks):
    rng = np.random.default_rng(1)
    n_sites = 3 if blocks is None else 6
    matrix, x = rng.normal(size=(3, 3)), rng.normal(size=(40000, n_sites))
    full = matrix / 2 if blocks is None else np.kron([[0, 1], [0, 0]], matrix)
    expected = np.sum(x * (x @ full.T), axis=1)
    with jax.enable_x64(x64):
        h = Hamiltonian({"t": Dense(matrix, blocks)}, space=LINE, shape=(n_sites,))
        energies = jax.jit(jax.vmap(h))(x)
    np.testing.assert_allclose(energies, expected, atol=1e-12 if x64 else 1e-5)
