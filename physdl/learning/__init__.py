"""Learning: networks, Hamiltonians and maps fitted by stochastic gradients.

The only importer of optax.
"""

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
from physdl.learning.mean_field_inversion import mean_field as mean_field
from physdl.learning.mean_field_inversion import mean_field_couplings as mean_field_couplings
from physdl.learning.polynomials import polynomial as polynomial
from physdl.learning.selection import Selection as Selection
from physdl.learning.selection import select as select
from physdl.learning.training import Training as Training
from physdl.learning.training import TrainingStatus as TrainingStatus
from physdl.learning.training import train as train
from physdl.learning.variational import VariationalMCRG as VariationalMCRG
from physdl.learning.variational import variational_mcrg as variational_mcrg
