"""Learning: Hamiltonians and maps fitted by stochastic gradients. The only importer of optax."""

from physdl.learning.variational import VariationalMCRG as VariationalMCRG
from physdl.learning.variational import variational_mcrg as variational_mcrg
