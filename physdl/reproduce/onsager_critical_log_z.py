"""The free energy of the square Ising model at its critical point.

Published as log Z / N = log(2) / 2 + 2 G / pi with Catalan's constant G, which is 0.929695398.
Computed from two tori by Kaufman's formula: log Z is N f plus a constant plus terms of order 1 / N,
so the difference of two sizes is f up to 1 / N^2.
"""

from physdl import reference

SUBJECT = "exact"
CITATION = "L. Onsager, Phys. Rev. 65, 117 (1944), section 109"
PUBLISHED = 0.929695398
TOLERANCE = 5e-10
QUICK = True


def compute() -> float:
    """log Z / N in nats."""
    coupling = reference.square_critical_coupling()
    small, large = (float(reference.kaufman_log_z(n, n, coupling)) for n in (128, 256))
    return (large - small) / (256**2 - 128**2)
