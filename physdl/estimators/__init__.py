"""Ways to get log Z. Each is a frozen dataclass of settings, called as ``method(h, key=key)``."""

from physdl.estimators._base import Estimate as Estimate
from physdl.estimators._base import Estimator as Estimator
from physdl.estimators._base import Status as Status
