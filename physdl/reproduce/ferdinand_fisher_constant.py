"""What a critical Ising torus has beside its bulk free energy.

Published as log(2^(1/4) + 2^(-1/2)) = 0.639912 for the square shape. Computed from the determinants
of Kac and Ward on tori of 8, 16 and 32 spins a side: the next terms are of order 1 / N and 1 / N^2
and are removed by extrapolation.
"""

from physdl import estimators, lattices, models, reference

SUBJECT = "exact"
CITATION = "A. E. Ferdinand and M. E. Fisher, Phys. Rev. 185, 832 (1969)"
PUBLISHED = 0.639912
TOLERANCE = 5e-7
QUICK = True


def compute() -> float:
    """log Z - N f in nats."""
    coupling = reference.square_critical_coupling()
    bulk = float(reference.onsager_log_z(coupling))

    def rest(length: int) -> float:
        h = models.ising(lattices.square(length, length), coupling)
        return float(estimators.Planar()(h).log_z) - length**2 * bulk

    small, middle, large = rest(8), rest(16), rest(32)
    once = (4 * middle - small) / 3, (4 * large - middle) / 3
    return (16 * once[1] - once[0]) / 15
