"""The central charge of the Ising model.

Published as c = 1 / 2. Computed from the spectrum of a cylinder of coarse tensors after loop
optimisation.
"""

from physdl import lattices, models, reference, tensors

SUBJECT = "tensors"
CITATION = (
    "A. A. Belavin, A. M. Polyakov and A. B. Zamolodchikov, Nucl. Phys. B 241, 333 (1984); "
    "method: S. Yang, Z.-C. Gu and X.-G. Wen, Phys. Rev. Lett. 118, 110504 (2017)"
)
PUBLISHED = 0.5
TOLERANCE = 0.002
QUICK = False


def compute() -> float:
    """c."""
    critical = reference.square_critical_coupling()
    bulk = tensors.bulk(models.ising(lattices.square(2, 2), critical))
    network = tensors.coarsen(tensors.LoopTNR(chi=8), bulk, 10).network
    return float(tensors.conformal_data(network).central_charge)
