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
# # A critical point seen by samplers
# The 2D Ising model near its transition: what configurations look like, how fast local and cluster
# moves forget, and where Binder cumulants of different sizes cross.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import lattices, models, plotting, reference, sampling

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
critical = reference.square_critical_coupling()

# %% [markdown]
# ## Configurations
# Swendsen-Wang moves whole clusters, so a hundred sweeps from a random start are enough even at the
# critical point, where clusters of all sizes exist.

# %%
size = 64 if quick else 256
figure, axes = plt.subplots(1, 3, figsize=(9, 3.5), layout="constrained")
for ax, ratio in zip(axes, (0.9, 1.0, 1.05), strict=True):
    h = models.ising(lattices.square(size, size), ratio * critical)
    out = sampling.run(sampling.SwendsenWang(), h, key=jax.random.key(1), n_sweeps=100, n_chains=1)
    plotting.configuration(h, out.state[0], bar=False, ax=ax).set_title(f"K = {ratio:g} $K_c$")
plt.show()

# %% [markdown]
# ## How fast they forget
# The autocorrelation of $m^2$ at the critical point, against sweeps (or Wolff clusters). A mark ends the window over
# which it is summed to $\tau$.

# %%
length = 16 if quick else 32
h = models.ising(lattices.square(length, length), critical)
n_sweeps = 4000 if quick else 20_000
kernels = {"Metropolis": sampling.Metropolis(), "heat bath": sampling.HeatBath(),
           "Wolff": sampling.Wolff(), "Swendsen-Wang": sampling.SwendsenWang()}  # fmt: skip
series = {}
for name, kernel in kernels.items():
    out = sampling.run(kernel, h, key=jax.random.key(2), n_sweeps=n_sweeps, n_chains=4,
                       observables={"m2": sampling.OrderParameter(h.space, 2)})  # fmt: skip
    series[name] = out["m2"]
plotting.autocorrelation(series, n_shown=200)
plt.show()

# %% [markdown]
# ## Where Binder cumulants cross
# $U = 1 - \langle m^4 \rangle / 3 \langle m^2 \rangle^2$ does not depend on the size at the critical
# point. Every error is a jackknife over blocks of the chains.

# %%
sizes = (4, 8, 16) if quick else (8, 16, 32)
couplings = np.linspace(0.41, 0.47, 5 if quick else 9)
n_sweeps = 1500 if quick else 6000
binder = lambda m2, m4: 1 - m4[0] / (3 * m2[0] ** 2)
figure, ax = plt.subplots(figsize=(5, 3.4), layout="constrained")
for length in sizes:
    lattice = lattices.square(length, length)
    values = []
    for k in couplings:
        out = sampling.run(sampling.SwendsenWang(), models.ising(lattice, k), key=jax.random.key(3),
                           n_sweeps=n_sweeps, n_chains=4)  # fmt: skip
        values.append(sampling.jackknife(binder, [out["m2"], out["m4"]]))
    ax.errorbar(couplings, [float(v.value) for v in values], [float(v.stderr) for v in values],
                capsize=2, label=f"L = {length}")  # fmt: skip
ax.axvline(critical, color="grey", lw=0.8)
ax.set(xlabel="coupling K", ylabel="Binder cumulant")
ax.legend()
plt.show()

# %% [markdown]
# ## A spin glass
# Below its freezing range a glass traps local moves. Tempering carries replicas between hot and
# cold; the ladder is tuned until all neighbours exchange equally often.

# %%
glass = models.edwards_anderson(lattices.square(8, 8), 3.0, seed=4)
first = sampling.ParallelTempering(sampling.HeatBath(), jnp.linspace(0, 1, 8))
tuned, found = sampling.tune_ladder(first, glass, key=jax.random.key(5), n_rounds=4 if quick else 6)
out = sampling.run(tuned, glass, key=jax.random.key(6), n_sweeps=500 if quick else 4000, n_chains=4)
print(f"{len(tuned.betas)} rungs, barrier {float(found['barrier']):.2f}")
print(out)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.2), layout="constrained")
left.plot(tuned.betas, found["cumulative_barrier"], "o-")
left.set(xlabel="place b on the path", ylabel="cumulative barrier")
right.bar(np.arange(len(found["rejection"])), found["rejection"])
right.set(xlabel="pair of neighbours", ylabel="rejection of swaps", ylim=(0, 1))
plt.show()
