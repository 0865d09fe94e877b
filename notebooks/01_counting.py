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
from matplotlib.collections import LineCollection

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
heat = couplings**2 * jax.jit(jax.vmap(jax.grad(jax.grad(log_z))))(couplings)

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

# %% [markdown]
# ## A spin glass too large to enumerate
# Without a field a planar graph of any size is exact: the Kac-Ward determinant takes polynomial
# time. One gradient of log Z gives the correlation of the two spins of every bond,
# $\langle s_i s_j \rangle = \partial \ln Z / \partial K_{ij}$. Dark bonds are frustrated: their
# spins disagree with their coupling. Cooling freezes most of them and leaves the domain walls.

# %%
size = 12 if os.environ.get("PHYSDL_QUICK") else 24
plane = lattices.square(size, size, periodic=False)
bonds = plane.bonds.array
couplings = np.random.default_rng(1).normal(size=len(bonds))


@jax.jit
def correlations(beta):
    planar = estimators.Planar()
    value = lambda k: planar(models.ising(plane, k)).log_z
    return jax.grad(value)(beta * couplings)


# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), layout="constrained")
for ax, beta in zip(axes, (0.3, 1.0, 2.5), strict=True):
    agreement = np.sign(couplings) * correlations(beta)
    ends = np.stack([bonds // size, bonds % size], axis=-1)[..., ::-1]
    lines = LineCollection(ends, array=np.asarray(agreement), cmap="viridis", clim=(-1, 1), lw=5)
    picture = ax.add_collection(lines)
    ax.set(title=f"inverse temperature {beta}", xlim=(-1, size), ylim=(size, -1), aspect="equal")
    ax.set_axis_off()
figure.colorbar(picture, ax=axes, label="sign of the coupling times the correlation")
plt.show()
