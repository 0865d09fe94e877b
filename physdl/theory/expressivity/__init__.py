"""Expressivity: what a polynomial costs a network, deep or flat.

| subject | question |
|---|---|
| ``n_parameters``, ``n_coefficients``, ``n_generic`` | how many numbers is a Hamiltonian? |
| ``monomial_cost``, ``grouping_neurons``, ``grouping_table`` | neurons of a product by depth |
| ``shallow_rank``, ``leading_error`` | can this first layer multiply? |
| ``taylor_match`` | is the network the polynomial, in the sense of Taylor coefficients? |
| ``flatten_linear``, ``butterfly_fft``, ``strassen`` | synapses of a linear map, deep and flat |
| ``flattening_cost`` | how large is a flat network that training finds? |
| ``product_trainability`` | which depth and width learn to multiply? |
| ``is_convolution`` | does a linear map commute with translations? |

Theorems here are about Taylor coefficients of smooth networks (Lin, Tegmark & Rolnick,
arXiv:1608.08225; Rolnick & Tegmark, arXiv:1705.05502). They say what networks of a size can be, not
what training finds, and say nothing of uniform accuracy: both are measured instead.
"""

from physdl.theory.expressivity.counts import generated_group as generated_group
from physdl.theory.expressivity.counts import is_convolution as is_convolution
from physdl.theory.expressivity.counts import n_coefficients as n_coefficients
from physdl.theory.expressivity.counts import n_generic as n_generic
from physdl.theory.expressivity.counts import n_parameters as n_parameters
from physdl.theory.expressivity.flattening import Flattening as Flattening
from physdl.theory.expressivity.flattening import flattening_cost as flattening_cost
from physdl.theory.expressivity.linear import LinearFlattening as LinearFlattening
from physdl.theory.expressivity.linear import butterfly_fft as butterfly_fft
from physdl.theory.expressivity.linear import flatten_linear as flatten_linear
from physdl.theory.expressivity.linear import low_rank as low_rank
from physdl.theory.expressivity.linear import sparse_product as sparse_product
from physdl.theory.expressivity.linear import sparse_product_cost as sparse_product_cost
from physdl.theory.expressivity.linear import strassen as strassen
from physdl.theory.expressivity.linear import strassen_synapses as strassen_synapses
from physdl.theory.expressivity.monomials import MonomialCost as MonomialCost
from physdl.theory.expressivity.monomials import grouping_neurons as grouping_neurons
from physdl.theory.expressivity.monomials import grouping_table as grouping_table
from physdl.theory.expressivity.monomials import monomial_cost as monomial_cost
from physdl.theory.expressivity.rank import RankCertificate as RankCertificate
from physdl.theory.expressivity.rank import leading_error as leading_error
from physdl.theory.expressivity.rank import shallow_rank as shallow_rank
from physdl.theory.expressivity.taylor import TaylorMatch as TaylorMatch
from physdl.theory.expressivity.taylor import taylor_coefficients as taylor_coefficients
from physdl.theory.expressivity.taylor import taylor_match as taylor_match
from physdl.theory.expressivity.trainability import TrainabilityMap as TrainabilityMap
from physdl.theory.expressivity.trainability import product_trainability as product_trainability
