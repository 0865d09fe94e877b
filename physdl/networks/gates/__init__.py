"""Gates: a few neurons that multiply numbers, or bits."""

from physdl.networks.gates.bit_gate import BitGate as BitGate
from physdl.networks.gates.bit_gate import bit_product as bit_product
from physdl.networks.gates.designs import Bias as Bias
from physdl.networks.gates.designs import identity as identity
from physdl.networks.gates.designs import monomial as monomial
from physdl.networks.gates.designs import optimal_scale as optimal_scale
from physdl.networks.gates.designs import product as product
from physdl.networks.gates.designs import square as square
from physdl.networks.gates.gate import Gate as Gate
