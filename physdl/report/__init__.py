"""A report on a Hamiltonian: what it is, log Z by every method, observables, flows and networks.

| part | where |
|---|---|
| structure, symmetries, numbers of parameters | ``identify`` |
| log Z by every method within a time | ``counting`` |
| observables of a chain | ``measure`` |
| flow, fixed point and exponents under every map that has the model | ``flows``, ``MAPS`` |
| networks that stand for it | ``approximations`` |
| all of these, one after another | ``study`` |
| a page of them | ``page`` |

The names by which the command line knows methods and maps are here: ``METHODS`` and ``MAPS``.
"""

from physdl.report._study import Study as Study
from physdl.report._study import study as study
from physdl.report.approximations import Compiled as Compiled
from physdl.report.counting import Row as Row
from physdl.report.identity import Identity as Identity
from physdl.report.identity import identify as identify
from physdl.report.maps import MAPS as MAPS
from physdl.report.methods import METHODS as METHODS
from physdl.report.observables import Measured as Measured
from physdl.report.observables import measure as measure
