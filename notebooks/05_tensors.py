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
# # A lattice as a network of tensors
# Every site is a tensor, every bond a leg. Coarse-graining keeps the legs short; what it discards is
# the error. Energy and specific heat are derivatives through all of it, and at the critical point
# the spectrum of what is left is that of a conformal field theory.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, models, plotting, reference, tensors

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
square = lattices.square(2, 2)
critical = float(reference.square_critical_coupling())

# %% [markdown]
# ## Longer legs, smaller errors
# Relative error of log Z per site at the critical point, where truncation is worst, in the limit of an
# infinite lattice.

# %%
schemes = {"TRG": tensors.TRG, "BTRG": tensors.BTRG, "HOTRG": tensors.HOTRG, "ATRG": tensors.ATRG}
chis = [4, 8] if quick else [4, 6, 8, 12, 16]
bulk = tensors.bulk(models.ising(square, critical))
exact = float(reference.onsager_log_z(critical))
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
for name, scheme in schemes.items():
    n_steps = 40 if scheme(chi=4).scale < 2 else 20
    found = [float(tensors.log_z_per_tensor(scheme(chi=c), bulk, n_steps)) for c in chis]
    ax.loglog(chis, np.abs(np.array(found) / exact - 1), "o-", label=name)
ax.set(xlabel=r"bond dimension $\chi$", ylabel="relative error of log Z")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Specific heat by differentiating twice

# %%
scheme = tensors.TRG(chi=6 if quick else 12)


def log_z(k):
    return tensors.log_z_per_tensor(scheme, tensors.bulk(models.ising(square, k)))


heat = jax.jit(jax.vmap(lambda k: k**2 * jax.jvp(jax.grad(log_z), (k,), (1.0,))[1]))
k = np.linspace(0.3, 0.6, 5 if quick else 31)
fine = np.linspace(0.3, 0.6, 400)
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
ax.plot(fine, jax.vmap(reference.onsager_specific_heat)(jnp.asarray(fine)), "0.6", label="Onsager")
ax.plot(k, heat(jnp.asarray(k)), "o", ms=4, label=f"TRG, $\\chi$ = {scheme.chi}")
ax.set(xlabel="K", ylabel="specific heat per site", ylim=(0, 4))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## A conformal field theory in a tensor
# Scaling dimensions of the critical Ising model, step by step. The lines are 1/8 and 1, and their
# descendants.

# %%
n_steps = 8 if quick else 20
loop, plain = tensors.LoopTNR(chi=6 if quick else 8), tensors.TRG(chi=8 if quick else 16)
figure, axes = plt.subplots(1, 2, figsize=(8, 3.6), layout="constrained", sharey=True)
for ax, scheme in zip(axes, (plain, loop), strict=True):
    steps = range(4, n_steps + 1, 2)
    left = [tensors.coarsen(scheme, bulk, n).network for n in steps]
    seen = [tensors.conformal_data(network, n=6) for network in left]
    plotting.conformal_tower(seen, (0, 1 / 8, 1, 9 / 8, 2), steps=steps, ax=ax)
    ax.set(xlabel=f"step, {type(scheme).__name__}, $\\chi$ = {scheme.chi}", ylim=(-0.1, 2.3))
plt.show()

# %% [markdown]
# ## Order, from a tensor with a spin in it
# An impurity goes through the coarse-graining as its derivative does. A small field chooses the phase;
# the line is Yang's magnetisation without one.

# %%
scheme, spin = tensors.BTRG(chi=6 if quick else 12), models.ising(square, 0.0, -1.0)
k = np.linspace(0.4, 0.6, 5 if quick else 21)
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
for field in (1e-2, 1e-4):

    def magnetisation(k, field=field):
        h = models.ising(square, k, field)
        return tensors.expectation(scheme, tensors.bulk(h), tensors.impurity(h, spin))

    ax.plot(k, jax.jit(jax.vmap(magnetisation))(jnp.asarray(k)), ".-", label=f"field {field:g}")
ax.plot(fine, jax.vmap(reference.yang_magnetisation)(jnp.asarray(fine)), "0.6", label="Yang")
ax.set(xlabel="K", ylabel="magnetisation", xlim=(0.4, 0.6))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## A spin glass in a field
# Where couplings differ from place to place rows are applied to a boundary one by one. How many states
# the boundary needs depends on the temperature; the derivatives in the fields are the magnetisations.

# %%
side = 12 if quick else 32
glass = models.edwards_anderson(lattices.square(side, side, periodic=False), 1.0, 0.3, seed=1)
states = (4, 8) if quick else (4, 8, 16, 32)
for chi in states:
    print(f"chi = {chi:2d}:", estimators.BoundaryMPS(chi=chi)(glass))
# log Z as a function of one more field on every site
fields = jnp.zeros(glass.shape)


def tilted(fields):
    offset = models.ising(lattices.square(side, side, periodic=False), 0.0, fields.reshape(-1))
    return estimators.BoundaryMPS(chi=states[-1])(glass + offset).log_z


local = jax.jit(jax.grad(tilted))(fields)
figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
image = ax.imshow(local, cmap="RdBu_r", vmin=-1, vmax=1)
figure.colorbar(image, ax=ax, label="magnetisation")
ax.set(xticks=[], yticks=[])
plt.show()
