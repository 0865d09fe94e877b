"""Ways to get log Z. Each is a frozen dataclass of settings, called as ``method(h, key=key)``."""

from physdl.estimators._base import Estimate as Estimate
from physdl.estimators._base import Estimator as Estimator
from physdl.estimators._base import Status as Status
from physdl.estimators.ais import AIS as AIS
from physdl.estimators.ais import ReverseAIS as ReverseAIS
from physdl.estimators.auto import Auto as Auto
from physdl.estimators.autoregressive import Autoregressive as Autoregressive
from physdl.estimators.boundary_mps import BoundaryMPS as BoundaryMPS
from physdl.estimators.budget import Refined as Refined
from physdl.estimators.compare import Agreement as Agreement
from physdl.estimators.compare import Compare as Compare
from physdl.estimators.contraction import Contraction as Contraction
from physdl.estimators.coupling_box import CouplingBox as CouplingBox
from physdl.estimators.density import DensityOfStates as DensityOfStates
from physdl.estimators.enumeration import Enumeration as Enumeration
from physdl.estimators.gaussian import Gaussian as Gaussian
from physdl.estimators.histogram_reweighting import HistogramReweighting as HistogramReweighting
from physdl.estimators.layer_sum import LayerSum as LayerSum
from physdl.estimators.learned import LearnedEstimator as LearnedEstimator
from physdl.estimators.marginals import site_marginals as site_marginals
from physdl.estimators.multicanonical import Multicanonical as Multicanonical
from physdl.estimators.multistate import MultiState as MultiState
from physdl.estimators.multistate import bar as bar
from physdl.estimators.multistate import mbar as mbar
from physdl.estimators.multistate import mbar_of_energies as mbar_of_energies
from physdl.estimators.multistate import wham as wham
from physdl.estimators.parallel_tempering import MBAR as MBAR
from physdl.estimators.perturbation import Widom as Widom
from physdl.estimators.perturbation import Zwanzig as Zwanzig
from physdl.estimators.planar import Planar as Planar
from physdl.estimators.population_annealing import PopulationAnnealing as PopulationAnnealing
from physdl.estimators.quadrature import Quadrature as Quadrature
from physdl.estimators.tap import TAP as TAP
from physdl.estimators.tensor_rg import TensorRG as TensorRG
from physdl.estimators.thermodynamic_integration import (
    ThermodynamicIntegration as ThermodynamicIntegration,
)
from physdl.estimators.transfer_matrix import TransferMatrix as TransferMatrix
from physdl.estimators.wang_landau import WangLandau as WangLandau
