# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     name: python3
#     display_name: Python 3
#     language: python
# ---

# %% [markdown]
# # Counting one model in several ways
# The 2D Ising model on a torus: log Z by three exact methods and by Kaufman's formula, then energy
# and specific heat as its first and second derivative.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, models, reference

jax.config.update("jax_enable_x64", True)
length = 4 if os.environ.get("PHYSDL_QUICK") else 8

# %%
h = models.ising(lattices.square(4, 4), 0.44)
for method in (estimators.Enumeration(), estimators.TransferMatrix(), estimators.Contraction()):
    print(method(h), "-", method(h).method)
print("Kaufman", reference.kaufman_log_z(4, 4, 0.44))

# %% [markdown]
# Everything below is one function of the coupling, differentiated twice.

# %%
lattice = lattices.square(length, length)
log_z = lambda k: estimators.TransferMatrix()(models.ising(lattice, k)).log_z
couplings = jnp.linspace(0.1, 0.8, 29)
energy = jax.jit(jax.vmap(jax.grad(log_z)))(couplings)
heat = couplings**2 * jnp.gradient(energy, couplings[1] - couplings[0])

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2))
n = lattice.n_sites
left.plot(couplings, -energy / n, label="derivative of log Z")
exact = [reference.kaufman_energy(length, length, float(k)) / n for k in couplings[::4]]
left.plot(couplings[::4], exact, "k.", label="Kaufman")
left.set(xlabel="coupling K", ylabel="energy per site (units of J)")
left.legend()
right.plot(couplings, heat / n)
right.axvline(0.5 * np.log1p(np.sqrt(2)), color="grey", lw=0.8)
right.set(xlabel="coupling K", ylabel="specific heat per site")
figure.tight_layout()
plt.show()
