"""Networks: Flax modules as pure functions, compiled from Hamiltonians, or to be trained.

The only importer of flax.
"""

from physdl.networks import gates as gates
from physdl.networks._circuit import optimal_grouping as optimal_grouping
from physdl.networks.activations import EXP as EXP
from physdl.networks.activations import GELU as GELU
from physdl.networks.activations import LOGISTIC as LOGISTIC
from physdl.networks.activations import SILU as SILU
from physdl.networks.activations import SOFTPLUS as SOFTPLUS
from physdl.networks.activations import TANH as TANH
from physdl.networks.activations import Activation as Activation
from physdl.networks.activations import fourth_order_bias as fourth_order_bias
from physdl.networks.activations import generic_bias as generic_bias
from physdl.networks.autoregressive import AutoregressiveNetwork as AutoregressiveNetwork
from physdl.networks.autoregressive import IndependenceSampler as IndependenceSampler
from physdl.networks.autoregressive import Mixture as Mixture
from physdl.networks.autoregressive import frontier as frontier
from physdl.networks.autoregressive import made as made
from physdl.networks.autoregressive import mixture as mixture
from physdl.networks.autoregressive import pixel_cnn as pixel_cnn
from physdl.networks.autoregressive import transformer as transformer
from physdl.networks.boltzmann import RBM as RBM
from physdl.networks.boltzmann_stack import BoltzmannStack as BoltzmannStack
from physdl.networks.boltzmann_stack import participation as participation
from physdl.networks.boolean import compile_boolean as compile_boolean
from physdl.networks.compilation import compile_polynomial as compile_polynomial
from physdl.networks.corrected import Corrected as Corrected
from physdl.networks.corrected import Quadratic as Quadratic
from physdl.networks.corrected import quadratic_fit as quadratic_fit
from physdl.networks.cost_report import CostReport as CostReport
from physdl.networks.effective_couplings import marginal_couplings as marginal_couplings
from physdl.networks.group_average import Averaged as Averaged
from physdl.networks.group_average import averaged as averaged
from physdl.networks.hamiltonian_classifier import HamiltonianClassifier as HamiltonianClassifier
from physdl.networks.network import Network as Network
from physdl.networks.network import build as build
from physdl.networks.network import freeze as freeze
from physdl.networks.perceptron import mlp as mlp
from physdl.networks.sets import deep_sets as deep_sets
from physdl.networks.symmetric import convolutional as convolutional
from physdl.networks.symmetric import equivariant as equivariant
from physdl.networks.weight_sharing import WeightSharing as WeightSharing
