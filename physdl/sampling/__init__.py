"""Markov kernels that leave exp(-H) / Z invariant, and the driver that runs them."""

from physdl.sampling._kernel import Cycle as Cycle
from physdl.sampling._kernel import EnsembleKernel as EnsembleKernel
from physdl.sampling._kernel import Kernel as Kernel
from physdl.sampling._kernel import random_configuration as random_configuration
from physdl.sampling.heat_bath import HeatBath as HeatBath
from physdl.sampling.metropolis import Metropolis as Metropolis
