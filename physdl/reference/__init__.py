"""Exact answers with their sources: what every estimator of physdl is measured against.

Each function is a published solution, written from its formula and sharing no code with the
estimators. Reduced units throughout: weight exp(-H), energies in units of k_B T, ln Z in nats.
Functions of traced couplings may be jitted, mapped by ``jax.vmap`` and differentiated twice; sizes
are static integers.

| file | subject |
|---|---|
| ``square_ising`` | Onsager's free energy, energy and specific heat; Yang's magnetisation |
| ``planar_ising`` | triangular and honeycomb lattices |
| ``kaufman`` | the finite torus |
| ``density_of_states`` | the exact number of states at every energy of the torus |
| ``chains`` | rings and chains of Ising, Potts, XY and Heisenberg spins, any transfer matrix |
| ``mean_field`` | Curie-Weiss model and Bethe lattice |
| ``potts`` | critical points, energies and latent heats of the Potts model |
| ``phi4`` | the lattice scalar field on small rings and tori |
"""

from physdl.reference.chains import (
    heisenberg_chain_log_z,
    heisenberg_ring_log_z,
    potts_ring_log_z,
    ring_log_z,
    ring_log_z_of,
    xy_ring_log_z,
)
from physdl.reference.density_of_states import ising_density_of_states
from physdl.reference.kaufman import (
    kaufman_energy,
    kaufman_log_z,
    kaufman_specific_heat,
)
from physdl.reference.mean_field import (
    bethe_critical_coupling,
    bethe_log_z,
    bethe_magnetisation,
    bethe_potts_spinodal_coupling,
    curie_weiss_log_z,
    curie_weiss_log_z_per_site,
    curie_weiss_magnetisation,
)
from physdl.reference.phi4 import (
    Phi4LogZ,
    phi4_log_z,
    phi4_single_site_log_z,
)
from physdl.reference.planar_ising import (
    honeycomb_critical_coupling,
    honeycomb_log_z,
    triangular_critical_coupling,
    triangular_log_z,
)
from physdl.reference.potts import (
    potts_critical_energy,
    potts_critical_log_z,
    potts_dual_coupling,
    potts_honeycomb_critical_coupling,
    potts_latent_heat,
    potts_square_critical_coupling,
    potts_triangular_critical_coupling,
)
from physdl.reference.square_ising import (
    dual_coupling,
    onsager_energy,
    onsager_log_z,
    onsager_specific_heat,
    square_critical_coupling,
    yang_magnetisation,
)

__all__ = [
    "ising_density_of_states",
    "Phi4LogZ",
    "bethe_critical_coupling",
    "bethe_log_z",
    "bethe_magnetisation",
    "bethe_potts_spinodal_coupling",
    "curie_weiss_log_z",
    "curie_weiss_log_z_per_site",
    "curie_weiss_magnetisation",
    "dual_coupling",
    "heisenberg_chain_log_z",
    "heisenberg_ring_log_z",
    "honeycomb_critical_coupling",
    "honeycomb_log_z",
    "kaufman_energy",
    "kaufman_log_z",
    "kaufman_specific_heat",
    "onsager_energy",
    "onsager_log_z",
    "onsager_specific_heat",
    "phi4_log_z",
    "phi4_single_site_log_z",
    "potts_critical_energy",
    "potts_critical_log_z",
    "potts_dual_coupling",
    "potts_honeycomb_critical_coupling",
    "potts_latent_heat",
    "potts_ring_log_z",
    "potts_square_critical_coupling",
    "potts_triangular_critical_coupling",
    "ring_log_z",
    "ring_log_z_of",
    "square_critical_coupling",
    "triangular_critical_coupling",
    "triangular_log_z",
    "xy_ring_log_z",
    "yang_magnetisation",
]
