"""Energies, sums and averages by loops over plain numbers; shares no code with the package.

A polynomial is a list of monomials (coefficient, [(site, component), ...]); a table is a pair
(energies, sites). The points of site i are a list of vectors, a state one label per site.
"""

import itertools

import numpy as np

POINTS = {
    "SPIN": [[-1], [1]],
    "BINARY": [[0], [1]],
    "spin(1)": [[-1], [0], [1]],
    "levels(3)": [[0], [1], [2]],
    "levels(4)": [[0], [1], [2], [3]],
    "potts(3)": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "clock(4)": [[1, 0], [0, 1], [-1, 0], [0, -1]],
    "uneven": [[-0.5], [0.25], [2.0]],
}


def all_labels(points):
    """Every configuration as labels, int [n_configurations, n_sites]."""
    return np.array(list(itertools.product(*(range(len(p)) for p in points))), dtype=int)


def states_of(points, labels):
    """The vectors of labelled configurations, [n_configurations, n_sites, c]."""
    return np.array([[points[i][s] for i, s in enumerate(row)] for row in labels], dtype=float)


def all_states(points):
    """The vectors of every configuration, [n_configurations, n_sites, c]."""
    return states_of(points, all_labels(points))


def energies(states, monomials):
    """Polynomial energies of configurations [n, n_sites, c]."""
    total = np.zeros(len(states))
    for coefficient, variables in monomials:
        value = np.full(len(states), float(coefficient))
        for site, component in variables:
            value = value * states[:, site, component]
        total = total + value
    return total


def table_energies(labels, tables):
    """Energies read from tables at the labels of configurations."""
    total = np.zeros(len(labels))
    for table, sites in tables:
        total = total + np.array([np.asarray(table)[tuple(row[list(sites)])] for row in labels])
    return total


def log_z(energies):
    """log sum exp(-E); -inf when every configuration is forbidden."""
    energies = np.asarray(energies, dtype=float)
    lowest = energies.min()
    if lowest == np.inf:
        return -np.inf
    return float(-lowest + np.log(np.sum(np.exp(lowest - energies))))


def marginal(labels, energies, summed):
    """Labels of the other sites and -log sum exp(-E) over the summed ones."""
    rest = [i for i in range(labels.shape[1]) if i not in summed]
    groups = {}
    for row, energy in zip(labels, energies, strict=True):
        groups.setdefault(tuple(row[rest]), []).append(energy)
    kept = np.array(list(groups), dtype=int).reshape(len(groups), len(rest))
    return kept, np.array([-log_z(group) for group in groups.values()])


def sites_monomials(coefficient, table, c=1):
    """Monomials of a table of variables [n, degree] or [n, n_summed, degree]."""
    out = []
    for m, row in enumerate(np.asarray(table)):
        number = coefficient if np.ndim(coefficient) == 0 else coefficient[m]
        summed = row if row.ndim == 2 else [row]
        out += [(number, [(int(v) // c, int(v) % c) for v in variables]) for variables in summed]
    return out


def stencil_monomials(coefficient, offsets, shape, components=None):
    """Monomials of a stencil: every cell of the box, neighbours by wrapping."""
    number = np.arange(int(np.prod(shape))).reshape(shape)
    out = []
    for m, monomial in enumerate(offsets):
        for cell in np.ndindex(*shape):
            value = np.asarray(coefficient)
            value = value if value.ndim == 0 else value[m]
            value = value if np.ndim(value) == 0 else value[cell]
            where = [
                number[tuple((c + o) % n for c, o, n in zip(cell, offset, shape, strict=True))]
                for offset in monomial
            ]
            for row in components or [[0] * len(monomial)]:
                pairs = [(int(i), int(a)) for i, a in zip(where, row, strict=True)]
                out.append((float(value), pairs))
    return out


def dense_monomials(matrix, c=1, blocks=None):
    """Monomials of a quadratic form over all sites, or of a bilinear form of two blocks."""
    row, column = blocks or (0, 0)
    factor = 1.0 if blocks else 0.5
    return [
        (factor * matrix[i][j], [(row + i, a), (column + j, a)])
        for i in range(len(matrix))
        for j in range(len(matrix[0]))
        for a in range(c)
    ]
