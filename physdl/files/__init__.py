"""Readers and writers: graphical models, weighted graphs, the native format, other packages.

One module a format: ``uai``, ``evidence`` and ``results`` (UAI competition), ``edge_list`` (rudy,
G-set), ``native`` (``.npz``), ``interop`` (networkx, scipy.sparse, dimod). ``load`` and ``save``
choose by the suffix. Whatever is wrong with a file ends in a ``FormatError`` that names the file,
the place and the remedy, before memory is taken for what the file declares.
"""

from physdl.files._suffixes import load as load
from physdl.files._suffixes import save as save
from physdl.files.edge_list import read_edge_list as read_edge_list
from physdl.files.edge_list import write_edge_list as write_edge_list
from physdl.files.evidence import read_evidence as read_evidence
from physdl.files.evidence import write_evidence as write_evidence
from physdl.files.interop import from_dimod as from_dimod
from physdl.files.interop import from_networkx as from_networkx
from physdl.files.interop import from_scipy_sparse as from_scipy_sparse
from physdl.files.interop import to_dimod as to_dimod
from physdl.files.interop import to_networkx as to_networkx
from physdl.files.interop import to_scipy_sparse as to_scipy_sparse
from physdl.files.native import read_npz as read_npz
from physdl.files.native import write_npz as write_npz
from physdl.files.results import read_pr as read_pr
from physdl.files.results import write_pr as write_pr
from physdl.files.uai import read_uai as read_uai
from physdl.files.uai import write_uai as write_uai
