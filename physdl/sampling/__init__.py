"""Markov kernels that leave exp(-H) / Z invariant, and the driver that runs them."""

from physdl.sampling._kernel import Cycle as Cycle
from physdl.sampling._kernel import EnsembleKernel as EnsembleKernel
from physdl.sampling._kernel import Kernel as Kernel
from physdl.sampling._kernel import random_configuration as random_configuration
from physdl.sampling._series import Series as Series
from physdl.sampling._series import jackknife as jackknife
from physdl.sampling.cluster import SwendsenWang as SwendsenWang
from physdl.sampling.cluster import Wolff as Wolff
from physdl.sampling.driver import run as run
from physdl.sampling.driver import sweeps as sweeps
from physdl.sampling.heat_bath import HeatBath as HeatBath
from physdl.sampling.houdayer import Houdayer as Houdayer
from physdl.sampling.houdayer import houdayer_move as houdayer_move
from physdl.sampling.metropolis import Metropolis as Metropolis
from physdl.sampling.microcanonical import Creutz as Creutz
from physdl.sampling.microcanonical import Demons as Demons
from physdl.sampling.microcanonical import Overrelaxation as Overrelaxation
from physdl.sampling.observables import OrderParameter as OrderParameter
from physdl.sampling.observables import standard_observables as standard_observables
from physdl.sampling.result import Run as Run
from physdl.sampling.result import RunStatus as RunStatus
