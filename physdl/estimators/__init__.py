"""Ways to get log Z. Each is a frozen dataclass of settings, called as ``method(h, key=key)``."""

from physdl.estimators._base import Estimate as Estimate
from physdl.estimators._base import Estimator as Estimator
from physdl.estimators._base import Status as Status
from physdl.estimators.auto import Auto as Auto
from physdl.estimators.contraction import Contraction as Contraction
from physdl.estimators.enumeration import Enumeration as Enumeration
from physdl.estimators.gaussian import Gaussian as Gaussian
from physdl.estimators.marginals import site_marginals as site_marginals
from physdl.estimators.planar import Planar as Planar
from physdl.estimators.transfer_matrix import TransferMatrix as TransferMatrix
