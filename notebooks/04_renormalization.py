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
# # One critical point, many maps
# Couplings flow under coarse-graining; where they stand still the system looks the same on all
# scales, and how fast they leave is a critical exponent. Bond moving, its limit of small steps, the
# functional renormalization group: one interface, exponents by automatic differentiation.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import lattices, models, plotting, reference, rg, sampling, spaces

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))

# %% [markdown]
# ## Bond moving: a flow of two couplings
# The five-state clock model has two couplings, of cos(t) and cos(2 t). Arrows show the direction of a step, marks
# the fixed points, the line is the critical surface: flows on its two sides end in different phases.

# %%
clock = rg.MigdalKadanoff(2, 2, rg.bond(spaces.clock(5)))
n = 9 if quick else 17
plotting.flow_field(rg.flow_field(clock, np.linspace(0, 1.4, n), np.linspace(-0.2, 0.2, n)))
plt.show()

# %% [markdown]
# ## Smaller steps are better
# Bond moving has a free choice, the length ratio b. As b goes to 1 the fixed point of the square
# Ising model becomes the exact critical coupling, sinh 2K = 1, while the exponent stays a quarter
# off. Derivatives by the implicit function theorem give the slopes.


# %%
def fixed(b):
    step = rg.MigdalKadanoff(scale=b, dim=2)
    at = rg.fixed_point(step, jnp.array([0.35]))
    return at.couplings[0], rg.exponents(step, at).y[0]


ratios = jnp.linspace(1.05, 3.0, 5 if quick else 14)
points = [fixed(b) for b in ratios]
slopes = [jax.grad(lambda b: fixed(b)[0])(b) for b in ratios[::2]]
limit = rg.MigdalKadanoffFlow(dim=2)
at = rg.fixed_point(limit, jnp.array([0.4]))
figure, axes = plt.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
axes[0].plot(ratios, [p[0] for p in points], "o-")
for b, slope in zip(ratios[::2], slopes):
    here = fixed(b)[0]
    axes[0].plot([b - 0.12, b + 0.12], [here - 0.12 * slope, here + 0.12 * slope], "k", lw=2)
axes[0].plot(1, at.couplings[0], "s", color="tab:red", label="$b \\to 1$")
axes[0].axhline(reference.square_critical_coupling(), color="0.5", ls="--", label="exact")
axes[0].set(xlabel="b", ylabel="$K^*$")
axes[1].plot(ratios, [p[1] for p in points], "o-")
axes[1].plot(1, rg.exponents(limit, at).y[0], "s", color="tab:red")
axes[1].axhline(1, color="0.5", ls="--")
axes[1].set(xlabel="b", ylabel="$y_T$", ylim=(0.7, 1.05))
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# ## The free energy, and a bound
# The steps of a flow sum up log Z. Moving bonds can only raise it, so the curve lies below the
# exact free energy, and touches it where it is exact.

# %%
couplings = jnp.linspace(0.0, 0.8, 9 if quick else 33)
square = rg.MigdalKadanoff(2, 2)
bound = jax.vmap(lambda k: rg.free_energy(square, k[None]))(couplings)
exact = [-float(reference.onsager_log_z(k)) if k > 0 else -np.log(2) for k in couplings]
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(couplings, exact, "k", label="Onsager")
ax.plot(couplings, bound, "tab:blue", label="bond moving")
ax.set(xlabel="K", ylabel="free energy per site ($k_BT$)")
ax.legend(frameon=False)
plt.show()
assert np.all(np.asarray(bound) <= np.array(exact) + 1e-12)

# %% [markdown]
# ## Three dimensions: the functional renormalization group
# The local potential at the Wilson-Fisher fixed point, and the exponent of the correlation length
# for O(N) models. The dashed line is the conformal bootstrap's value for N = 1 (arXiv:2411.15300).

# %%
components = [1, 2, 3, 4] if quick else [1, 2, 3, 4, 6, 8, 10]
nu = []
for number in components:
    frg = rg.FunctionalRG(n_components=number, dim=3)
    nu.append(float(1 / rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0]))
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(components, nu, "o-", label="local potential")
ax.axhline(1, color="0.7", label="$N = \\infty$")
ax.plot(1, 0.62997097, "*", color="tab:red", ms=10, label="bootstrap, N = 1")
ax.set(xlabel="N", ylabel="$\\nu$")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## What one majority step does to the couplings
# Configurations of the critical square Ising model, blocked 2 x 2 by majority, then asked which
# couplings they have: range and body, with standard errors. Most of what appears is a diagonal coupling. The cross is
# the coupling before.

# %%
size = 16 if quick else 32
torus = lattices.square(size, size)
critical = models.ising(torus, reference.square_critical_coupling())
run = sampling.run(
    sampling.SwendsenWang(), critical, key=jax.random.key(0),
    n_sweeps=1000 if quick else 3000, n_kept=100 if quick else 300, n_chains=16,
)
blocks = rg.blocked(run.ensemble, rg.Majority(2), key=jax.random.key(1))
basis = rg.operator_basis(torus, max_range={2: 3, 4: 2})
fit = rg.pseudolikelihood(blocks, basis, n_blocks=64)
plotting.couplings(fit, known={"nearest neighbour": reference.square_critical_coupling()})
plt.show()
