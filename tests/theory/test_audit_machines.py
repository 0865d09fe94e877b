import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import lattices, models, sampling
from physdl.errors import SpaceError, TooLargeError
from physdl.estimators import AIS, Enumeration
from physdl.networks import RBM
from physdl.spaces import BINARY, LINE, SPIN, levels, potts
from physdl.theory import audit


def machine():
    rng = np.random.default_rng(2)
    w, a, b = rng.normal(size=(6, 3)), rng.normal(size=6), rng.normal(size=3)
    return RBM(0.5 * w, 0.5 * a, 0.5 * b, SPIN, BINARY)


def table(rbm):
    """E(v, h) of every pair, one call at a time."""
    layers = [
        list(itertools.product(space.array if space.event_shape else space.array[:, 0], repeat=n))
        for space, n in ((rbm.visible, rbm.n_visible), (rbm.hidden, rbm.n_hidden))
    ]
    return np.array(
        [[float(rbm.energy(jnp.array(v), jnp.array(h))) for h in layers[1]] for v in layers[0]]
    )


@pytest.mark.parametrize(
    ("visible", "hidden"),
    [(SPIN, BINARY), (BINARY, SPIN), (SPIN, levels(3)), (potts(3), BINARY)],
)
def test_the_kernel_is_the_conditional_of_the_energies(visible, hidden):
    w = np.random.default_rng(3).normal(size=(3, *visible.event_shape, 2))
    rbm = RBM(w, 0.3, -0.2, visible, hidden)
    w = np.exp(-table(rbm))
    np.testing.assert_allclose(
        np.exp(audit.machine_kernel(rbm)), w / w.sum(axis=1, keepdims=True), rtol=1e-10
    )


def test_the_conditional_is_exact_and_the_difference_of_energies_is_not():
    """The same machine, as a stochastic map and as Mehta and Schwab have it."""
    rbm, h = machine(), models.ising(lattices.chain(6), 0.5)
    assert float(audit.trace_condition(audit.machine_kernel(rbm)).residual) < 1e-12
    t = audit.mehta_schwab(table(rbm), h)
    r = jax.vmap(audit.machine_trace(rbm, h))(
        jnp.array(list(itertools.product([-1.0, 1.0], repeat=6)))
    )
    np.testing.assert_allclose(audit.trace_condition(t).log_trace, r, rtol=1e-10)
    assert float(audit.jensen_gap(t, h)) > 0.1


@pytest.mark.parametrize("estimator", [Enumeration(), AIS(n_chains=1000)], ids=["exact", "AIS"])
def test_the_gap_from_log_z_is_that_of_the_table(estimator):
    rbm, h = machine(), models.ising(lattices.chain(6), 0.5)
    exact = audit.jensen_gap(audit.mehta_schwab(table(rbm), h), h)
    found = audit.jensen_gap_of_log_z(
        audit.machine_trace(rbm, h),
        sampling.exact_sample(h, n=4000, key=jax.random.key(0)),
        log_z=Enumeration()(h),
        log_z_coarse=estimator(rbm.hamiltonian, key=jax.random.key(1)),
    )
    assert float(found.stderr) < 0.05
    assert abs(float(found.value - exact)) < 4 * float(found.stderr)


def test_a_machine_that_has_learned_the_chain_leaves_no_gap():
    """A hidden spin between neighbours: tanh K = tanh^2 J, the decimation of 1410.3831, Fig. 2."""
    n, k = 6, 0.4
    j = np.arctanh(np.sqrt(np.tanh(k)))
    w = np.zeros((n, n))
    for i in range(n):
        w[i, i] = w[(i + 1) % n, i] = j
    rbm, h = RBM(w, visible=SPIN, hidden=SPIN), models.ising(lattices.chain(n), k)
    assert abs(float(audit.jensen_gap(audit.mehta_schwab(table(rbm), h), h))) < 1e-12


@pytest.mark.parametrize(
    ("rbm", "error", "message"),
    [
        (RBM(jnp.ones((2, 1)), visible=LINE), SpaceError, "LINE"),
        (RBM(jnp.ones((2, 1)), hidden=LINE), SpaceError, "LINE"),
        (RBM(jnp.ones((20, 10))), TooLargeError, "2\\^24"),
    ],
)
def test_bad_input(rbm, error, message):
    with pytest.raises(error, match=message):
        audit.machine_kernel(rbm)
