"""Pictures of what physdl computes, on matplotlib axes.

Every function takes results as they are, draws on the axes given as ``ax`` or on those of a new
figure, and returns the axes, so that anything can be added. Nothing is computed here. matplotlib is
imported by the first picture, not with the package. ``style`` is the look for a page.
"""

from physdl.plotting._axes import new_axes as new_axes
from physdl.plotting._axes import style as style
from physdl.plotting.chains import autocorrelation as autocorrelation
from physdl.plotting.chains import trace as trace
from physdl.plotting.configurations import configuration as configuration
from physdl.plotting.costs import network_cost as network_cost
from physdl.plotting.curves import free_energy_curve as free_energy_curve
from physdl.plotting.densities import density_of_states as density_of_states
from physdl.plotting.flows import flow as flow
from physdl.plotting.flows import flow_field as flow_field
from physdl.plotting.free_energies import estimates as estimates
from physdl.plotting.machines import receptive_fields as receptive_fields
from physdl.plotting.renormalized import couplings as couplings
from physdl.plotting.renormalized import exponents as exponents
from physdl.plotting.scaling_collapse import collapse as collapse
from physdl.plotting.spectra import conformal_tower as conformal_tower
from physdl.plotting.spectra import spectrum as spectrum
from physdl.plotting.trainings import training as training
