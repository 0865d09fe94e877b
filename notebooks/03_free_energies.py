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
# # Free energies with error bars
# One number, log Z, by methods that share no mistake: annealing up and back, multistate reweighting,
# a flat walk in the energy. Everything is drawn against the exact answer.

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, models, plotting, reference

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
size = 8 if quick else 16
torus = lattices.square(size, size)
critical = reference.square_critical_coupling()
exact = float(reference.kaufman_log_z(size, size, critical))

# %% [markdown]
# ## A sandwich
# Annealed importance sampling gives a lower bound, the way back an upper one. Both close in as the
# walk gets slower.

# %%
steps = [64, 256] if quick else [64, 256, 1024, 4096]
up, down = [], []
for n in steps:
    forward = estimators.AIS(n_temperatures=n)
    out = estimators.ReverseAIS(forward)(models.ising(torus, critical), key=jax.random.key(0))
    up.append((float(out.info["log_z_up"]), float(out.lower)))
    down.append((float(out.info["log_z_down"]), float(out.upper)))
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
for values, colour, label in ((up, "tab:blue", "up"), (down, "tab:red", "down")):
    value, bound = np.array(values).T - exact
    ax.plot(steps, value, "o-", color=colour, label=label)
    ax.fill_between(steps, value, bound, color=colour, alpha=0.2, lw=0)
ax.axhline(0, color="k", lw=0.8)
ax.set(xscale="log", xlabel="temperatures", ylabel="log Z - exact", title=f"{size} x {size}, $K_c$")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## One run, all temperatures
# The rungs of parallel tempering, reweighted together, give log Z along the whole path.

# %%
h = models.ising(torus, critical)
out = estimators.MBAR(n_sweeps=400 if quick else 2000)(h, key=jax.random.key(1))
betas, path = np.asarray(out.info["betas"]), np.asarray(out.info["path_log_z"])
truth = np.array([float(reference.kaufman_log_z(size, size, b * critical)) for b in betas])
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(betas, path - truth, "o-")
ax.axhline(0, color="k", lw=0.8)
ax.errorbar([1.0], [float(out.log_z) - exact], yerr=[float(out.stderr)], fmt="s", color="tab:red")
ax.set(xlabel="b = K / $K_c$", ylabel="log Z - exact", title=f"MBAR: {out!r}")
plt.show()

# %% [markdown]
# ## The density of states
# A flat walk in the energy visits both ends: from 2 ground states to 2^(N-1) typical ones. The
# integers it should find are known exactly (black line). One density holds the distributions of the energy at all
# temperatures.

# %%
side = 6 if quick else 16
levels, counts = reference.ising_density_of_states(side, side)
walk = estimators.WangLandau(n_sweeps=1000 if quick else 8000, b_range=(-1.0, 1.0))
density = walk.density(models.ising(lattices.square(side, side), 1.0), key=jax.random.key(2))
log_counts = {float(e): np.log(float(c)) for e, c in zip(levels, counts, strict=True) if c}
found = [
    (float(e), float(g), float(s))
    for e, g, s in zip(density.energies, density.log_g, density.stderr, strict=True)
    if np.isfinite(g) and round(float(e)) in log_counts
]
e, g, s = np.array(found).T
known = np.array([log_counts[round(x)] for x in e])
figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
plotting.density_of_states(density, betas=(0.0, 0.3, 0.44, 0.6), ax=axes[0])
axes[0].plot(list(log_counts), list(log_counts.values()), "k-", lw=0.8)
axes[1].errorbar(e, g - known, yerr=s, fmt=".", ms=4, lw=0.6)
axes[1].axhline(0, color="k", lw=0.8)
axes[1].set(xlabel="energy / J", ylabel="log g - exact")
plt.show()

# %% [markdown]
# ## Derivatives are moments
# The Hessian of one estimate is the specific heat; the exact curve is Kaufman's.


# %%
def log_z(coupling, key):
    return estimators.MBAR(n_sweeps=400)(models.ising(lattices.square(8, 8), coupling), key=key).log_z


couplings = np.linspace(0.25, 0.6, 4 if quick else 12)
heat = jax.jit(jax.grad(jax.grad(log_z)))
measured = [float(k**2 * heat(k, jax.random.key(3))) / 64 for k in couplings]
fine = np.linspace(0.2, 0.65, 80)
curve = [float(reference.kaufman_specific_heat(8, 8, k)) / 64 for k in fine]
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(fine, curve, "k-", lw=0.8, label="Kaufman")
ax.plot(couplings, measured, "o", label="Hessian of log Z")
ax.set(xlabel="K", ylabel="specific heat per site")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Do they agree?
# Bars are standard errors, brackets are bounds, the line is Kaufman's.

# %%
methods = {
    "AIS": estimators.AIS(),
    "ReverseAIS": estimators.ReverseAIS(),
    "annealed populations": estimators.PopulationAnnealing(),
    "integration": estimators.ThermodynamicIntegration(),
    "MBAR": estimators.MBAR(),
    "Wang-Landau": estimators.WangLandau(n_learn=300, n_sweeps=2000),
}
h = models.ising(lattices.square(8, 8), 0.42)
agreement = estimators.Compare(methods)(h, key=jax.random.key(4))
print(agreement)
plotting.estimates(agreement.estimates, exact=reference.kaufman_log_z(8, 8, 0.42))
plt.show()
