"""The energy of the triangular Ising model at its critical point.

Published as E / N = -2 J at exp(4 K) = 3, of -3 J at zero temperature. Computed as the central
difference of log Z / N, whose singular part is even about the critical point.
"""

from physdl import reference

SUBJECT = "exact"
CITATION = "R. M. F. Houtappel, Physica 16, 425 (1950)"
PUBLISHED = 2.0
TOLERANCE = 1e-5
QUICK = True


def compute() -> float:
    """-E / (N J)."""
    critical, step = reference.triangular_critical_coupling(), 1e-4
    above = float(reference.triangular_log_z(critical + step))
    below = float(reference.triangular_log_z(critical - step))
    return (above - below) / (2 * step)
