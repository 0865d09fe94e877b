"""Autoregressive networks: distributions on finite spaces with exact draws and exact log q."""

from physdl.networks.autoregressive._labelled import is_invariant as is_invariant
from physdl.networks.autoregressive._labelled import shifted as shifted
from physdl.networks.autoregressive.attention import transformer as transformer
from physdl.networks.autoregressive.autoregressive_network import (
    AutoregressiveNetwork as AutoregressiveNetwork,
)
from physdl.networks.autoregressive.frontier_network import frontier as frontier
from physdl.networks.autoregressive.gated_convolution import pixel_cnn as pixel_cnn
from physdl.networks.autoregressive.independence import IndependenceSampler as IndependenceSampler
from physdl.networks.autoregressive.masked_dense import made as made
from physdl.networks.autoregressive.mixture import Mixture as Mixture
from physdl.networks.autoregressive.mixture import mixture as mixture
