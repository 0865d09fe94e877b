# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#       format_version: '1.3'
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Differentiating through everything
# The gradient of log Z with respect to a Hamiltonian is minus the expected monomials, its Hessian
# their covariance. The same holds through a transfer matrix, a sampled ensemble, the corners and edges of an
# infinite lattice, a fixed point, a trained network.
# Each derivative below stands beside a number found without it.

# %%
import itertools
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, learning, models, reference, rg, sampling, tensors

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
compared = {}

# %% [markdown]
# ## Moments and covariances
# All 64 states of a small model, weighed by hand, against one gradient and one Hessian of log Z.

# %%
lattice = lattices.square(2, 3)
states = np.array(list(itertools.product((-1.0, 1.0), repeat=6))).reshape(-1, 2, 3)
energies = np.array(jax.vmap(models.ising(lattice, 1.0))(jnp.asarray(states)))
weights = np.exp(-0.4 * energies)
weights /= weights.sum()
mean = weights @ energies
variance = weights @ (energies - mean) ** 2


def log_z(method, k):
    return method(models.ising(lattice, k)).log_z


for method in (estimators.Enumeration(), estimators.TransferMatrix()):
    name = type(method).__name__
    slope, curve = jax.grad(log_z, 1)(method, 0.4), jax.hessian(log_z, 1)(method, 0.4)
    compared[f"{name}: mean energy"] = -slope, mean
    compared[f"{name}: variance"] = curve, variance

# %% [markdown]
# ## A sampled ensemble
# Draws made once know the neighbourhood: value, slope and curvature of log Z along the coupling.

# %%
h = models.ising(lattices.square(8, 8), 0.4)
n = 500 if quick else 2000
run = sampling.run(
    sampling.SwendsenWang(), h, key=jax.random.key(0), n_sweeps=n, n_chains=8, n_kept=n
)
of = lambda b: run.ensemble.log_z_of(b * h)
kaufman = lambda b: reference.kaufman_log_z(8, 8, 0.4 * b)
compared["Ensemble: slope"] = jax.grad(of)(1.0), jax.grad(kaufman)(1.0)
compared["Ensemble: curvature"] = jax.grad(jax.grad(of))(1.0), jax.grad(jax.grad(kaufman))(1.0)

# %% [markdown]
# ## Tensor networks
# The energy and the specific heat of the infinite square lattice, against Onsager: through sixteen
# steps of a coarse-graining scheme, and through the fixed point of the corner transfer matrices.

# %%
k = 0.42
exact = reference.onsager_energy(k), reference.onsager_specific_heat(k) / k**2
chi = 8 if quick else 16
cell = lambda k: tensors.bulk(models.ising(lattices.square(2, 2), k))
of_infinite = {
    "TRG": lambda k: tensors.log_z_per_tensor(tensors.TRG(chi=chi), cell(k), 32),
    "CTMRG": lambda k: tensors.CTMRG(chi=chi)(cell(k)).log_z_per_tensor,
}
for name, f in of_infinite.items():
    slope, curve = jax.jit(lambda k, f=f: jax.jvp(jax.grad(f), (k,), (1.0,)))(k)
    compared[f"{name}: energy"] = -slope, exact[0]
    compared[f"{name}: curvature"] = curve, exact[1]

# %% [markdown]
# ## A fixed point and its exponent
# How the fixed point of bond moving and its exponent change with the length ratio, by the implicit
# function theorem, against central differences.


# %%
def fixed(b):
    step = rg.MigdalKadanoff(scale=b, dim=2)
    at = rg.fixed_point(step, jnp.array([0.3]))
    return jnp.array([at.couplings[0], rg.exponents(step, at).y[0]])


difference = (fixed(2.0 + 1e-4) - fixed(2.0 - 1e-4)) / 2e-4
slopes = jax.jacobian(fixed)(2.0)
compared["fixed point: dK*/db"] = slopes[0], difference[0]
compared["exponent: dy/db"] = slopes[1], difference[1]

# %% [markdown]
# ## A trained network
# A network learns bond moving from examples; the exponent is the logarithm of its Jacobian at the fixed
# point of its own. Exactly, that is the exponent of the map it was taught.

# %%
bond_moving = rg.MigdalKadanoff(scale=2, dim=2)
taught = learning.learn_rg(
    bond_moving,
    jnp.array([0.1]),
    jnp.array([0.6]),
    n_steps=1000 if quick else 5000,
    key=jax.random.key(2),
).rg
own = rg.fixed_point(taught, jnp.array([0.3]))
compared["network: exponent"] = rg.exponents(taught, own).y[0], fixed(2.0)[1]

# %% [markdown]
# ## All of them

# %%
for name, (found, independent) in compared.items():
    print(f"{name:28} {float(found):16.9f} {float(independent):16.9f}")

errors = [max(abs(float(a) / float(b) - 1), 1e-16) for a, b in compared.values()]
figure, ax = plt.subplots(figsize=(6, 3.2), layout="constrained")
ax.barh(list(compared), np.log10(errors) + 17, left=-17)
ax.set(xlabel="log10 of the relative difference", xlim=(-17, 0))
ax.invert_yaxis()
plt.show()
tolerance = {"TRG": 2e-2, "CTMRG": 1e-4, "network": 1e-3}
for name, error in zip(compared, errors, strict=True):
    kind = name.partition(":")[0]
    assert kind == "Ensemble" or error < tolerance.get(kind, 1e-6), (name, error)

# %% [markdown]
# TRG is cut to a few states, and loses more of a curvature than of a slope; corners and edges of as many
# lose next to nothing here. Draws have errors: those of the slope hold the exact value.

# %%
stderr = float(run["energy"].mean.stderr)
found, exact = (float(x) for x in compared["Ensemble: slope"])
print(f"slope {found:.3f} +/- {stderr:.3f}, exact {exact:.3f}")
assert abs(found - exact) < 4 * stderr
