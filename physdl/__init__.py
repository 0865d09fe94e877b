"""physdl: differentiable statistical mechanics in JAX."""

from physdl import errors as errors
from physdl import estimators as estimators
from physdl import lattices as lattices
from physdl import models as models
from physdl import spaces as spaces
from physdl.hamiltonian import Dense as Dense
from physdl.hamiltonian import Hamiltonian as Hamiltonian
from physdl.hamiltonian import Potential as Potential
from physdl.hamiltonian import Sites as Sites
from physdl.hamiltonian import Stencil as Stencil
from physdl.hamiltonian import conditional_energies as conditional_energies

__version__ = "0.1.0"
