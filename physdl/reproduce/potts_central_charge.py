"""The central charge of the three-state Potts model.

Published as c = 4 / 5. Computed like that of the Ising model.
"""

import math

from physdl import lattices, models, tensors

SUBJECT = "tensors"
CITATION = "V. S. Dotsenko, Nucl. Phys. B 235, 54 (1984)"
PUBLISHED = 0.8
TOLERANCE = 0.005
QUICK = False


def compute() -> float:
    """c."""
    bulk = tensors.bulk(models.potts(lattices.square(2, 2), 3, math.log(1 + math.sqrt(3))))
    network = tensors.coarsen(tensors.LoopTNR(chi=12), bulk, 8).network
    return float(tensors.conformal_data(network).central_charge)
