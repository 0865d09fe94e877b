"""Audit: is this coarse-graining a renormalization? The disputes of 2014-2016 as numbers.

| subject | question |
|---|---|
| ``trace_condition``, ``jensen_gap`` | does the step leave the fine distribution alone? |
| ``free_energy_preserving`` | does it leave log Z alone? |
| ``coarse_hamiltonian``, ``locality`` | what is the coarse model, and how local is it? |
| ``information_kept`` | what does a block spin still know of far away? |
| ``mehta_schwab``, ``lin_tegmark``, ``noninteracting`` | what do single criteria not tell? |
| ``machine_trace``, ``jensen_gap_of_log_z`` | how exact is a large Boltzmann machine? |
| ``block_kernel``, ``machine_kernel`` | the kernels of block maps and of Boltzmann machines |
| ``audit`` | all of it, as one report |
"""

from physdl.theory.audit.block_kernels import block_kernel as block_kernel
from physdl.theory.audit.bodies import Locality as Locality
from physdl.theory.audit.bodies import locality as locality
from physdl.theory.audit.counterexamples import lin_tegmark as lin_tegmark
from physdl.theory.audit.counterexamples import mehta_schwab as mehta_schwab
from physdl.theory.audit.counterexamples import noninteracting as noninteracting
from physdl.theory.audit.machines import jensen_gap_of_log_z as jensen_gap_of_log_z
from physdl.theory.audit.machines import machine_kernel as machine_kernel
from physdl.theory.audit.machines import machine_trace as machine_trace
from physdl.theory.audit.retained import InformationKept as InformationKept
from physdl.theory.audit.retained import information_kept as information_kept
from physdl.theory.audit.tables import energy_table as energy_table
from physdl.theory.audit.tables import hamiltonian_of as hamiltonian_of
from physdl.theory.audit.tables import joint_table as joint_table
from physdl.theory.audit.trace import FreeEnergies as FreeEnergies
from physdl.theory.audit.trace import TraceCondition as TraceCondition
from physdl.theory.audit.trace import coarse_hamiltonian as coarse_hamiltonian
from physdl.theory.audit.trace import free_energy_preserving as free_energy_preserving
from physdl.theory.audit.trace import jensen_gap as jensen_gap
from physdl.theory.audit.trace import sampled_jensen_gap as sampled_jensen_gap
from physdl.theory.audit.trace import trace_condition as trace_condition
from physdl.theory.audit.verdict import Audit as Audit
from physdl.theory.audit.verdict import audit as audit
