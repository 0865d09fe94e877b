r"""Temperature retrieval: which temperature does this configuration come from?

The seed of "deep and cheap learning" told as physics: cats and dogs are inverse temperatures, an
image is a configuration, and the answer is known. With E the energy at beta = 1,

    p(beta | x) = softmax(-beta E(x) - log Z(beta) + log p(beta)),        I(beta) = Var_beta(E),

so that E is all there is to know (a sufficient statistic), and no unbiased reading of one
configuration is better than sigma_beta = 1 / sqrt(I) (Lin & Tegmark, arXiv:1608.08225, Sec. II B;
the bound is that of C. R. Rao and H. Cramer). A thermometer that is learned, or that looks at block
spins, is measured against this line.

| question | answer |
|---|---|
| the family p_beta, log Z included | ``ising_torus``, ``canonical`` |
| what is the best reading? | ``posterior``, ``maximum_likelihood`` |
| how good can one be? how good is this one? | ``cramer_rao``; ``accuracy`` |
| learn one from examples | ``thermal_states``, ``calibrate`` |
| what does renormalization keep? | ``information_kept``, ``information_bound`` |

Convention: beta multiplies a Hamiltonian that is given for beta = 1; for ``ising_torus`` it is K.
"""

from physdl.theory.thermometer.calibration import Thermometer as Thermometer
from physdl.theory.thermometer.calibration import calibrate as calibrate
from physdl.theory.thermometer.calibration import thermal_states as thermal_states
from physdl.theory.thermometer.distillation import Kept as Kept
from physdl.theory.thermometer.distillation import coarsened as coarsened
from physdl.theory.thermometer.distillation import information_bound as information_bound
from physdl.theory.thermometer.distillation import information_kept as information_kept
from physdl.theory.thermometer.families import Canonical as Canonical
from physdl.theory.thermometer.families import canonical as canonical
from physdl.theory.thermometer.families import ising_torus as ising_torus
from physdl.theory.thermometer.likelihood import maximum_likelihood as maximum_likelihood
from physdl.theory.thermometer.likelihood import posterior as posterior
from physdl.theory.thermometer.line import Accuracy as Accuracy
from physdl.theory.thermometer.line import CramerRao as CramerRao
from physdl.theory.thermometer.line import accuracy as accuracy
from physdl.theory.thermometer.line import cramer_rao as cramer_rao
from physdl.theory.thermometer.line import fisher_information as fisher_information
from physdl.theory.thermometer.reading import Reading as Reading
from physdl.theory.thermometer.reading import ReadingStatus as ReadingStatus
