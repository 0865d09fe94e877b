"""What flattening costs a product of sparse matrices.

Published as (1 - (1 - p^2)^n) / (2 p): 4.3 for n = 200 and p = 1 / 10. Computed by counting the
entries of eight random products.
"""

import jax
import numpy as np

from physdl.reproduce._outcomes import Computed
from physdl.theory import expressivity

SUBJECT = "theory"
CITATION = "H. W. Lin, M. Tegmark and D. Rolnick, J. Stat. Phys. 168, 1223 (2017), equation 27"
PUBLISHED = 4.3
TOLERANCE = 0.05
QUICK = True


def compute() -> Computed:
    """Synapses flat over synapses deep."""
    found = [
        expressivity.flatten_linear(expressivity.sparse_product(200, 0.1, key=key)).cost
        for key in jax.random.split(jax.random.key(0), 8)
    ]
    return Computed(float(np.mean(found)), float(np.std(found, ddof=1)) / np.sqrt(len(found)))
