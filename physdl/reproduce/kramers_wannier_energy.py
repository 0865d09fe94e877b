"""The energy of the square Ising model at its critical point.

Published as E / N = -sqrt(2) J, by duality alone. Computed from tori of 32 to 128 spins a side,
whose energies differ from it by a term in 1 / L and one in 1 / L^3.
"""

from physdl import reference

SUBJECT = "exact"
CITATION = "H. A. Kramers and G. H. Wannier, Phys. Rev. 60, 252 (1941)"
PUBLISHED = 1.414214
TOLERANCE = 5e-7
QUICK = False


def compute() -> float:
    """-E / (N J)."""
    coupling = reference.square_critical_coupling()

    def energy(length: int) -> float:
        return -float(reference.kaufman_energy(length, length, coupling)) / length**2

    small, middle, large = energy(32), energy(64), energy(128)
    once = 2 * middle - small, 2 * large - middle
    return (8 * once[1] - once[0]) / 7
