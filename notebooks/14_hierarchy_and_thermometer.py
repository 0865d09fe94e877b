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
# # Hierarchy and thermometer
# Data are made level by level, and what a classifier needs of them is a minimal sufficient statistic
# of each level (Lin, Tegmark & Rolnick, Sec. III). Telling the temperature of a configuration is the
# same task in physics: the energy is sufficient, and the Cramer-Rao line says how well anyone can do.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import lattices, models, rg, sampling
from physdl.theory import hierarchy, thermometer

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))

# %% [markdown]
# ## A chain of noisy copies loses information at every level
# A bit is copied with an error of one in ten, again and again. What the copies know of the first bit
# is 1 - H_2(e_n) with e_n = (1 - 0.8^n) / 2: the curve; the points are the package's.

# %%
n_levels = 6
profile = hierarchy.information_profile(hierarchy.binary_symmetric_cascade(0.1, n_levels))
bits = np.asarray(profile.levels / hierarchy.BIT)
levels = np.arange(len(bits))
errors = (1 - 0.8**levels) / 2
entropy = -errors * np.log2(np.where(errors > 0, errors, 1)) - (1 - errors) * np.log2(1 - errors)
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(levels, 1 - entropy, "0.6", label="$1 - H_2(e_n)$")
ax.plot(levels, bits, "o", color="#2f7fb8", label="information_profile")
ax.set(xlabel="level", ylabel="information on the first bit (bits)")
ax.legend(frameon=False)
plt.show()
assert np.allclose(bits, 1 - entropy, atol=1e-12)

# %% [markdown]
# ## Distillation
# The minimal sufficient statistic merges all data with the same posterior, and nothing is lost: the
# posterior of the class is the posterior of the data.

# %%
chain = hierarchy.random_hierarchy(3, key=jax.random.key(0))
found = hierarchy.distill(chain)
print("classes level by level:", found.n_classes)
assert all(bool(jnp.allclose(found(y), chain.posterior(0)[y])) for y in range(4))

# %% [markdown]
# ## The thermometer
# The exact posterior of the coupling from the energy of one configuration of 16 x 16 spins, and how
# far the maximum-likelihood estimate scatters over many of them, beside the Cramer-Rao bound
# 1 / sqrt(var E).

# %%
size = 16
model = thermometer.ising_torus(size, size)
couplings = np.array([0.3, 0.4, 0.44, 0.5] if quick else [0.25, 0.3, 0.35, 0.4, 0.42, 0.44, 0.47, 0.5])
scatter, bound = [], []
for number, k in enumerate(couplings):
    h = models.ising(lattices.square(size, size), k)
    run = sampling.run(
        sampling.SwendsenWang(), h, key=jax.random.key(number), n_sweeps=2000, n_chains=4, n_kept=100
    )
    states = run.ensemble.states.reshape(-1, size, size)
    one = models.ising(lattices.square(size, size), 1.0)
    energies = jax.vmap(one)(states)
    read = [thermometer.maximum_likelihood(model, float(e)) for e in energies[: 40 if quick else 200]]
    told = np.array([float(reading.beta) for reading in read])
    scatter.append(np.sqrt(np.mean((told - k) ** 2)))
    bound.append(1 / np.sqrt(float(np.var(np.asarray(energies)))))
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(couplings, bound, "0.6", label="Cramer-Rao, $1/\\sqrt{\\mathrm{var}\\,E}$")
ax.plot(couplings, scatter, "o", color="#2f7fb8", label="maximum likelihood")
ax.set(xlabel="coupling $K$", ylabel="error of $K$ from one configuration", ylim=(0, None))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# The thermometer is best where the energy fluctuates most, at the critical point. A majority rule
# keeps only a part of the information:

# %%
small = models.ising(lattices.square(4, 4), 1.0)
kept = thermometer.information_kept(small, (rg.Majority(2),), 0.4)
print("share of the Fisher information after blocks of 2 x 2:", round(float(kept.share[1]), 3))
