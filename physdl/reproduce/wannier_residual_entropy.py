"""The entropy per spin of the triangular Ising antiferromagnet at zero temperature.

Every triangle keeps one unsatisfied bond, so a share of the spins stays free. Published as
S / N = (2 / pi) times the integral of ln(2 cos w) from 0 to pi / 3, which is 0.3230659472 nats.
Computed from the free energy of the infinite lattice at K = -20, where log Z / N + K is S / N up to
terms of order exp(4 K).
"""

from physdl import reference

SUBJECT = "exact"
CITATION = "G. H. Wannier, Phys. Rev. 79, 357 (1950); erratum Phys. Rev. B 7, 5017 (1973)"
PUBLISHED = 0.3230659472
TOLERANCE = 5e-11
QUICK = True


def compute() -> float:
    """S / N in nats."""
    coupling = -20.0
    return float(reference.triangular_log_z(coupling)) + coupling
