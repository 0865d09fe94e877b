"""One of every picture, from objects that cost nothing to make."""

import jax.numpy as jnp
import numpy as np

from physdl import lattices, models, networks, plotting, rg, scaling, statistics, tensors
from physdl.estimators import DensityOfStates, Estimate, Status
from physdl.learning import Training
from physdl.networks import CostReport
from physdl.rg.monte_carlo import Sector
from physdl.sampling import Series

RNG = np.random.default_rng(0)


def estimate(log_z=10.0, stderr=0.1, lower=-np.inf, upper=np.inf, status=Status.OK, n_sites=4):
    numbers = (jnp.asarray(v, float) for v in (log_z, stderr, lower, upper))
    return Estimate(*numbers, jnp.asarray(status, jnp.int32), {}, method="test", n_sites=n_sites)


ESTIMATES = {
    "exact": estimate(10.0, 0.0, 10.0, 10.0),
    "bounded": estimate(10.1, 0.05, 9.8, 10.3),
    "below": estimate(9.9, np.nan, 9.7),
    "few": estimate(9.5, 0.2, status=Status.FEW),
    "zero": estimate(-np.inf, 0.0, status=Status.ZERO),
}
SQUARE = models.ising(lattices.square(4, 5), 0.4)
SPINS = RNG.choice([-1.0, 1.0], (4, 5))
FIELD = rg.FlowField(
    jnp.linspace(0.0, 1.0, 4),
    jnp.linspace(-0.1, 0.1, 3),
    jnp.asarray(RNG.normal(size=(3, 4, 2))),
    jnp.array([[0.0, 0.0], [0.5, 0.05], [0.9, -0.05]]),
    jnp.array([[-1.0, -2.0], [1.0, -1.0], [1.0, 2.0]]),
    jnp.array([[0.6, 0.1], [0.4, -0.1], [0.5, 0.0]]),
)
STEPS = rg.RGStep(jnp.array([[0.4, 0.1], [0.3, 0.0]]), jnp.zeros(2), jnp.zeros(2))
SIZES = np.array([[8.0], [16.0]])
T = np.linspace(2.1, 2.5, 9)[None]
FIT = scaling.collapse(T, np.tanh((T - 2.3) * SIZES), 0.01, SIZES, nu=1.0, degree=5)
NOISE = RNG.normal(size=(3, 400))
SERIES = Series(jnp.asarray(NOISE), jnp.asarray(NOISE**2), block=2, thin=3)
DENSITY = DensityOfStates(
    jnp.array([-4.0, 0.0, 2.0, 4.0]),
    jnp.array([np.log(2.0), np.log(12.0), -np.inf, np.log(2.0)]),
    jnp.array([0.1, np.nan, np.nan, 0.1]),
)
TOWER = tensors.ConformalData(
    jnp.array(0.5), jnp.array([0.0, 0.125, 1.0, np.inf]), jnp.array([0.0, 0.0, -1.0, 0.0])
)
MACHINE = networks.RBM(jnp.asarray(RNG.normal(size=(6, 5))))
TRAINING = Training(
    None,
    jnp.array([[4.0, 2.0, np.nan, 1.0, 0.5], [3.0, 2.0, 1.5, 1.0, 0.7]]),
    jnp.array(1),
    jnp.array(0, jnp.int32),
    monitored=jnp.array([[3.0, 2.0, 1.0], [3.0, 2.5, 2.0]]),
)
REPORT = CostReport(12, 40, 2, 3.0, 1e-3, 1e-4, 1e-4, 1e-9, ())
BASIS = rg.operator_basis(lattices.square(8, 8), max_range={2: 1.5})
COUPLINGS = rg.Couplings(
    jnp.array([0.4, 0.1]), jnp.diag(jnp.array([0.01, 0.04])), jnp.array(0, jnp.int32), BASIS
)
SECTOR = Sector(
    None,
    jnp.zeros((3, 2)),
    statistics.Mean(
        jnp.array([[[0.9, np.nan], [0.95, -1.0]], [[0.92, np.nan], [0.98, -1.1]]]),
        jnp.full((2, 2, 2), 0.02),
    ),
    BASIS,
    (2.0, 2.0),
)

PICTURES = {
    "configuration": lambda ax: plotting.configuration(SQUARE, SPINS, ax=ax),
    "estimates": lambda ax: plotting.estimates(ESTIMATES, exact=10.0, n_sites=4, ax=ax),
    "flow_field": lambda ax: plotting.flow_field(FIELD, ["K", "h"], ax=ax),
    "flow": lambda ax: plotting.flow(STEPS, ["K", "h"], start=jnp.array([0.5, 0.2]), ax=ax),
    "collapse": lambda ax: plotting.collapse(FIT, SIZES, ax=ax),
    "autocorrelation": lambda ax: plotting.autocorrelation({"x": SERIES}, ax=ax),
    "trace": lambda ax: plotting.trace(SERIES, name="$m$", ax=ax),
    "density_of_states": lambda ax: plotting.density_of_states(DENSITY, (0.0, 0.3), ax=ax),
    "spectrum": lambda ax: plotting.spectrum([4.0, 1.0, 1e-20], ax=ax),
    "conformal_tower": lambda ax: plotting.conformal_tower(TOWER, (0, 1 / 8, 1), ax=ax),
    "receptive_fields": lambda ax: plotting.receptive_fields(MACHINE, (2, 3), ax=ax),
    "training": lambda ax: plotting.training(TRAINING, ax=ax),
    "network_cost": lambda ax: plotting.network_cost({"tree": REPORT, "flat": REPORT}, ax=ax),
    "free_energy_curve": lambda ax: plotting.free_energy_curve(
        np.arange(5.0), list(ESTIMATES.values()), exact=([0.0, 1.0], [10.0, 10.0]), ax=ax
    ),
    "couplings": lambda ax: plotting.couplings(COUPLINGS, known={"diagonal": 0.2}, ax=ax),
    "exponents": lambda ax: plotting.exponents(SECTOR, expected=1.0, ax=ax),
}
