"""Learning: networks, Hamiltonians and maps fitted by stochastic gradients.

The only importer of optax.
"""

from physdl.learning.amortised import Amortised as Amortised
from physdl.learning.amortised import Evaluations as Evaluations
from physdl.learning.amortised import amortise as amortise
from physdl.learning.amortised import evaluate as evaluate
from physdl.learning.boltzmann_flow import reconstructions as reconstructions
from physdl.learning.boltzmann_machines import log_likelihood as log_likelihood
from physdl.learning.boltzmann_machines import train_boltzmann as train_boltzmann
from physdl.learning.contrastive import Contrastive as Contrastive
from physdl.learning.contrastive import contrastive_objective as contrastive_objective
from physdl.learning.contrastive_inference import contrastive_divergence as contrastive_divergence
from physdl.learning.fitting import fit as fit
from physdl.learning.imitation import Imitation as Imitation
from physdl.learning.imitation import imitate as imitate
from physdl.learning.imitation import imitation_errors as imitation_errors
from physdl.learning.inverse import InferenceStatus as InferenceStatus
from physdl.learning.inverse import Inferred as Inferred
from physdl.learning.inverse import maximum_entropy as maximum_entropy
from physdl.learning.inverse import maximum_likelihood as maximum_likelihood
from physdl.learning.inverse import pseudolikelihood as pseudolikelihood
from physdl.learning.inverse import score_matching as score_matching
from physdl.learning.learned_rg import LearnedMap as LearnedMap
from physdl.learning.learned_rg import LearnedRG as LearnedRG
from physdl.learning.learned_rg import learn_rg as learn_rg
from physdl.learning.mean_field_inversion import mean_field as mean_field
from physdl.learning.mean_field_inversion import mean_field_couplings as mean_field_couplings
from physdl.learning.mean_field_phase import MeanField as MeanField
from physdl.learning.mean_field_phase import gibbs_free_energy as gibbs_free_energy
from physdl.learning.negative_phase import CD as CD
from physdl.learning.negative_phase import PCD as PCD
from physdl.learning.negative_phase import BlockGibbs as BlockGibbs
from physdl.learning.negative_phase import Exact as Exact
from physdl.learning.negative_phase import NegativePhase as NegativePhase
from physdl.learning.neural_mcrg import SpinFilter as SpinFilter
from physdl.learning.neural_mcrg import learn_filter as learn_filter
from physdl.learning.neural_mcrg import match_filter as match_filter
from physdl.learning.polynomials import polynomial as polynomial
from physdl.learning.reverse_kl import ReverseKL as ReverseKL
from physdl.learning.reverse_kl import minimise_free_energy as minimise_free_energy
from physdl.learning.selection import Selection as Selection
from physdl.learning.selection import select as select
from physdl.learning.stacking import StackTraining as StackTraining
from physdl.learning.stacking import train_stack as train_stack
from physdl.learning.tempered import Tempered as Tempered
from physdl.learning.training import Training as Training
from physdl.learning.training import TrainingStatus as TrainingStatus
from physdl.learning.training import train as train
from physdl.learning.variational import VariationalMCRG as VariationalMCRG
from physdl.learning.variational import variational_mcrg as variational_mcrg
from physdl.learning.variational_autoregressive import (
    VariationalAutoregressive as VariationalAutoregressive,
)
