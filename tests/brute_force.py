"""Brute force that shares no code with the package: explicit lists, python loops, numpy sums."""

import itertools

import numpy as np

POINTS = {
    "SPIN": [(-1.0,), (1.0,)],
    "BINARY": [(0.0,), (1.0,)],
    "spin(1)": [(-1.0,), (0.0,), (1.0,)],
    "potts(3)": [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)],
}


def all_states(points, n_sites):
    """Every configuration, shape [n_states, n_sites, n_components]."""
    return np.array(list(itertools.product(points, repeat=n_sites)))


def energies(monomials, states):
    """Energies of (coefficient, [(site, component), ...]) monomials."""
    total = np.zeros(len(states))
    for coefficient, factors in monomials:
        value = np.full(len(states), float(coefficient))
        for site, component in factors:
            value = value * states[:, site, component]
        total += value
    return total


def log_z(energy):
    lowest = energy.min()
    return float(np.log(np.sum(np.exp(lowest - energy))) - lowest)


def log_z_of(h):
    """log Z from the energies of all configurations of a scalar- or vector-space Hamiltonian."""
    import jax
    import jax.numpy as jnp

    tables = [np.array(h.space.at(i).points) for i in range(h.n_sites)]
    states = np.array(list(itertools.product(*[range(len(t)) for t in tables])), dtype=int)
    values = np.stack([t[states[:, i]] for i, t in enumerate(tables)], axis=1)
    values = values.reshape(len(states), *h.state_shape)
    return log_z(np.asarray(jax.jit(jax.vmap(h))(jnp.asarray(values))))
