"""Learning: Hamiltonians and maps fitted by stochastic gradients. The only importer of optax."""

from physdl.learning.variational_mcrg import VariationalMCRG as VariationalMCRG
from physdl.learning.variational_mcrg import variational_mcrg as variational_mcrg
