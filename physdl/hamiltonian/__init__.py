"""Hamiltonians: four kinds of terms, the sum of them, and the algebra on it."""

from physdl.hamiltonian._hamiltonian import Hamiltonian as Hamiltonian
from physdl.hamiltonian._hamiltonian import conditional_energies as conditional_energies
from physdl.hamiltonian.dense import Dense as Dense
from physdl.hamiltonian.factors import Term as Term
from physdl.hamiltonian.potential import Potential as Potential
from physdl.hamiltonian.sites import Sites as Sites
from physdl.hamiltonian.stencil import Stencil as Stencil
from physdl.hamiltonian.transforms import coefficients_of as coefficients_of
from physdl.hamiltonian.transforms import monomial_basis as monomial_basis
from physdl.hamiltonian.transforms import table_of as table_of
