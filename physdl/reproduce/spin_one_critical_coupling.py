"""The critical coupling of the Ising model of spin one.

Published as 0.590473(5) on the square lattice, from series. Computed by the phase in which the flow
of tensors ends, on either side.
"""

from physdl import lattices, models, rg, tensors

SUBJECT = "tensors"
CITATION = "P. Butera and M. Pernici, Physica A 506, 22 (2018)"
PUBLISHED = 0.590473
TOLERANCE = 5e-6
QUICK = False


def compute() -> float:
    """K_c."""
    scheme = rg.TensorRG(tensors.HOTRG(chi=12))
    found = rg.critical_point(
        scheme,
        lambda k: scheme.start(tensors.bulk(models.blume_capel(lattices.square(2, 2), k, 0.0))),
        0.55,
        0.65,
        n_steps=16,
        phase=tensors.gu_wen_ratio,
    )
    return float(found.parameter)
