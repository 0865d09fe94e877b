"""Rows of tensors as one sum, against one contraction of all; what the tensors of a box satisfy."""

import brute_force
import jax.numpy as jnp
import numpy as np
import opt_einsum
import pytest

from physdl import lattices, models, spaces
from physdl.errors import TooLargeError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.tensors._box import box
from physdl.tensors.boundary_mps import contract_box, is_exact

BOUNDARIES = [(False, False), (True, False), (False, True), (True, True)]
each_boundary = pytest.mark.parametrize("periodic", BOUNDARIES)


def random_tensors(shape, periodic, legs=(2, 3), seed=0):
    """Positive tensors whose outer legs are zero but for the first state where a box is open."""
    a, b = legs
    tensors = np.random.default_rng(seed).uniform(size=(*shape, a, a, b, b))
    if not periodic[0]:
        tensors[0, :, 1:], tensors[-1, :, :, 1:] = 0, 0
    if not periodic[1]:
        tensors[:, 0, :, :, 1:], tensors[:, -1, :, :, :, 1:] = 0, 0
    return jnp.asarray(tensors)


def whole_sum(tensors):
    """One einsum over all legs; cut legs are summed like any other."""
    n_0, n_1 = tensors.shape[:2]
    leg_0 = lambda i, j: 2 * ((i % n_0) * n_1 + j)
    leg_1 = lambda i, j: 2 * (i * n_1 + j % n_1) + 1
    operands = []
    for i in range(n_0):
        for j in range(n_1):
            legs = [leg_0(i - 1, j), leg_0(i, j), leg_1(i, j - 1), leg_1(i, j)]
            operands += [np.asarray(tensors[i, j]), legs]
    return float(np.log(opt_einsum.contract(*operands, [], optimize="greedy")))


@each_boundary
@pytest.mark.parametrize("shape", [(3, 4), (4, 3), (1, 4), (3, 1), (2, 2), (1, 1)])
def test_is_the_sum_over_all_legs(shape, periodic):
    tensors = random_tensors(shape, periodic)
    assert is_exact(tensors.shape, periodic, 81)
    found = contract_box(tensors, periodic, 81)
    assert float(found.log_z) == pytest.approx(whole_sum(tensors), rel=1e-13)
    assert float(jnp.sum(found.discarded)) == 0


@each_boundary
def test_rows_that_are_cut_lose_nothing_where_there_is_nothing_to_lose(periodic):
    """Tensors that are products of vectors: one state is enough, and more do no harm."""
    legs = [np.random.default_rng(k).uniform(0.5, 1.5, size=(5, 6, 2)) for k in range(4)]
    tensors = jnp.einsum("ija,ijb,ijc,ijd->ijabcd", *legs)
    tensors = jnp.where(random_tensors((5, 6), periodic, legs=(2, 2)) > 0, tensors, 0)
    assert not is_exact(tensors.shape, periodic, 2)
    found = contract_box(tensors, periodic, 2)
    assert float(found.log_z) == pytest.approx(whole_sum(tensors), rel=1e-12)
    assert float(jnp.sum(found.discarded)) < 1e-28


def test_the_loss_is_what_the_vector_discards():
    """Four columns of two sites: one cut, at the singular values of the vector itself."""
    tensors = random_tensors((4, 2), (False, False), legs=(3, 3), seed=3)
    found = contract_box(tensors, (False, False), 2)
    below = np.asarray(tensors[:, 0, :, :, 0])  # [site, 0-, 0+, 1+]
    psi = np.einsum("bx,bcy,cdz,dw->xyzw", below[0, 0], below[1], below[2], below[3, :, 0])
    lost, last = 0.0, psi.reshape(1, -1)
    for _ in range(3):
        _, s, v = np.linalg.svd(last.reshape(last.shape[0] * 3, -1), full_matrices=False)
        lost += np.sum(s[2:] ** 2) / np.sum(s**2)
        last = s[:2, None] * v[:2]
    assert float(found.discarded[0, 0]) == pytest.approx(lost, rel=1e-12)


def test_a_box_without_room_is_refused():
    space = spaces.levels(12)
    rng = np.random.default_rng(0)
    corner = Potential(rng.normal(size=(1, 12, 12, 12)), [[0, 1, 3]])
    h = Hamiltonian({"corner": corner}, space=space, shape=(3, 3))
    with pytest.raises(TooLargeError, match="use"):
        box(h)


@each_boundary
@pytest.mark.parametrize("balanced", [False, True])
def test_gauges_of_a_box_agree(periodic, balanced):
    rng = np.random.default_rng(1)
    lattice = lattices.square(3, 4, periodic=periodic)
    h = models.ising(lattice, rng.normal(size=lattice.n_bonds), rng.normal(size=12))
    network = box(h, balanced=balanced)
    assert network.periodic == periodic
    found = whole_sum(network.tensors) + float(network.log_scale)
    assert found == pytest.approx(brute_force.log_z_of(h), rel=1e-12)


def test_tensors_of_states_are_never_negative():
    rng = np.random.default_rng(2)
    lattice = lattices.square(4, 4)
    h = models.ising(lattice, 40 * rng.normal(size=lattice.n_bonds))
    assert float(jnp.min(box(h).tensors)) >= 0
