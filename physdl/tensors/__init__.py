"""Tensor networks: lattice models as tensors, and their coarse-graining.

Every ``Scheme`` runs through the same functions: ``coarsen``, ``log_z``, ``log_z_per_tensor``,
``expectation``.
"""

from physdl.tensors._base import Coarsening as Coarsening
from physdl.tensors._base import Scheme as Scheme
from physdl.tensors._base import TensorStep as TensorStep
from physdl.tensors._base import coarsen as coarsen
from physdl.tensors._base import expectation as expectation
from physdl.tensors._base import log_z as log_z
from physdl.tensors._base import log_z_per_tensor as log_z_per_tensor
from physdl.tensors.atrg import ATRG as ATRG
from physdl.tensors.btrg import BTRG as BTRG
from physdl.tensors.bulk_tensors import bulk as bulk
from physdl.tensors.bulk_tensors import impurity as impurity
from physdl.tensors.conformal import ConformalData as ConformalData
from physdl.tensors.conformal import conformal_data as conformal_data
from physdl.tensors.conformal import gu_wen_ratio as gu_wen_ratio
from physdl.tensors.ctmrg import CTMRG as CTMRG
from physdl.tensors.environment import Environment as Environment
from physdl.tensors.hotrg import HOTRG as HOTRG
from physdl.tensors.loop_tnr import LoopTNR as LoopTNR
from physdl.tensors.trg import TRG as TRG
from physdl.tensors.vertex_tensors import six_vertex as six_vertex
from physdl.tensors.vertex_tensors import xy_vertex as xy_vertex
from physdl.tensors.vumps import VUMPS as VUMPS
from physdl.tensors.vumps import HalfPlane as HalfPlane
from physdl.tensors.vumps import UniformMPS as UniformMPS
