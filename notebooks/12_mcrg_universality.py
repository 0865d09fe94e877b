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
# # Two models, one critical point
# The square Ising model, once with nearest neighbours alone and once with equal couplings along the diagonals too.
# Their critical couplings differ by more than a factor of two. Their exponents, their scaling functions and, after a
# few steps of coarse-graining, even their couplings do not. All of it from configurations: finite-size scaling, the
# Monte Carlo renormalization group, and couplings read off blocked configurations.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import lattices, plotting, reference, rg, sampling, scaling

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
exact = float(reference.square_critical_coupling())
pairs = rg.operator_basis(lattices.square(8, 8), max_range={2: 1.5})  # neighbours and diagonals
both = {"neighbours": lambda k: jnp.array([k, 0.0]), "and diagonals": lambda k: jnp.array([k, k])}


def model(name, length, k):
    return pairs.hamiltonian(both[name](k), lattices.square(length, length))


# %% [markdown]
# ## Finite-size scaling
# Near the critical point Binder's cumulant depends on the coupling and the size through (K - K_c) L^(1/nu) alone. The
# fit finds K_c and nu and a smooth curve, with errors from least squares; chi^2 per degree of freedom says whether to
# believe them.

# %%
sizes = np.array([[8], [16]] if quick else [[12], [16], [24], [32]])
windows = {"neighbours": (0.43, 0.452), "and diagonals": (0.185, 0.1955)}
binder = lambda m2, m4: 1 - m4[0] / (3 * m2[0] ** 2)
fits = {}
figure, axes = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained", sharey=True)
for ax, (name, window) in zip(axes, windows.items(), strict=True):
    couplings = np.linspace(*window, 5 if quick else 9)
    means = []
    for length in sizes[:, 0]:
        for k in couplings:
            run = sampling.run(
                sampling.SwendsenWang(), model(name, length, k), key=jax.random.key(1),
                n_sweeps=1000 if quick else 6000, n_chains=8,
            )  # fmt: skip
            means.append(sampling.jackknife(binder, [run["m2"], run["m4"]]))
    shape = (len(sizes), len(couplings))
    value, stderr = (np.array([float(getattr(m, part)) for m in means]).reshape(shape) for part in ("value", "stderr"))
    fits[name] = scaling.collapse(couplings[None], value, stderr, sizes)
    plotting.collapse(fits[name], sizes, ax=ax)
    ax.set(xlabel=rf"$(K - K_c)\, L^{{1/\nu}}$, {name}", ylabel="Binder cumulant")
plt.show()
for name, fit in fits.items():
    print(f"{name:14} K_c = {fit.critical}   nu = {fit.nu}   chi^2 per degree of freedom {float(fit.chi2_per_dof):.2f}")
print(f"exact, neighbours: K_c = {exact:.8g}, nu = 1")

# %% [markdown]
# The same curve twice, up to the scale of its argument: the cumulant at K_c is universal on the torus, and so is nu.
#
# ## Exponents without couplings
# The linearised map of a coarse-graining step is a ratio of two covariances, so its eigenvalues come from
# configurations of the critical model, coarsened by majority, with no couplings known. Even operators hold the
# exponent y_T = 1 / nu, odd ones y_H. With the first step and one operator they are off by truncation and by
# corrections to scaling; with more of both they come to Onsager's 1 and 15/8. A step later y_H lies a little lower: the
# last lattice is then only 8 x 8.

# %%
length, n_steps = (32, 2) if quick else (64, 3)
even = rg.operator_basis(lattices.square(8, 8), max_range={2: 1.5, 4: 1.5})
odd = rg.operator_basis(lattices.square(8, 8), 3, 1.5, parity="odd")
found = rg.mcrg_run(
    sampling.SwendsenWang(), model("neighbours", length, exact), rg.Majority(2), even=even, odd=odd,
    n_steps=n_steps, n_sweeps=600 if quick else 6000, n_chains=16, key=jax.random.key(2),
)  # fmt: skip
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
plotting.exponents(found.even, expected=1.0, ax=left).set(ylabel="$y_T$")
plotting.exponents(found.odd, expected=15 / 8, ax=right).set(ylabel="$y_H$")
plt.show()
step = min(n_steps, 2)
y_t, y_h = found.even.y(step), found.odd.y(step)
print(f"step {step}, all operators: y_T = {y_t}, y_H = {y_h}")
ising = rg.universality(y_t.value, y_h.value, 2)
names = ("nu", "eta", "alpha", "beta", "gamma", "delta")
print("by the scaling relations:", ", ".join(f"{name} = {float(getattr(ising, name)):.4f}" for name in names))

# %% [markdown]
# ## Two flows meet
# Both models at their critical points (the second at the one measured above), coarsened again and again, and after
# every step asked for their couplings by pseudolikelihood. They start far apart, at one coupling each, and come
# together: what differed was irrelevant. Numbers are steps, bars two standard errors; these grow, as every step leaves
# a quarter of the spins.

# %%
n_steps = 2 if quick else 3
length = 32 if quick else 64
basis = rg.operator_basis(lattices.square(8, 8), max_range={2: 2.3, 4: 1.5})
at = {"neighbours": exact, "and diagonals": float(fits["and diagonals"].critical.value)}
paths = {}
for name, k in at.items():
    run = sampling.run(
        sampling.SwendsenWang(), model(name, length, k), key=jax.random.key(3),
        n_sweeps=500 if quick else 8000, n_chains=16, n_kept=50 if quick else 1000,
    )  # fmt: skip
    paths[name] = []
    for step in range(1, n_steps + 1):
        blocks = rg.blocked(run.ensemble, rg.Majority(2), n_steps=step, key=jax.random.key(4))
        paths[name].append(rg.pseudolikelihood(blocks, basis, n_blocks=32))
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.8), layout="constrained")
for number, (name, fits_of) in enumerate(paths.items()):
    start = both[name](at[name])
    x, y = (np.array([float(start[i]), *(float(f.value[i]) for f in fits_of)]) for i in (0, 1))
    dx, dy = (np.array([0.0, *(2 * float(f.stderr[i]) for f in fits_of)]) for i in (0, 1))
    left.errorbar(x, y, yerr=dy, xerr=dx, fmt="os"[number] + "-", ms=4, label=name)
    for step, (a, b) in enumerate(zip(x, y)):
        left.annotate(str(step), (a, b), textcoords="offset points", xytext=(5, 4), fontsize=8)
left.set(xlabel="nearest neighbours", ylabel="diagonals")
left.legend(frameon=False)
steps = np.arange(1, n_steps + 1)
for number, operator in enumerate(basis):
    a, b = ([fit[operator.name] for fit in fits_of] for fits_of in paths.values())
    apart = [float(x.value - y.value) for x, y in zip(a, b)]
    error = [2 * float(jnp.hypot(x.stderr, y.stderr)) for x, y in zip(a, b)]
    right.errorbar(steps + 0.05 * (number - 2), apart, error, fmt="o", ms=4, capsize=2, label=operator.name)
right.axhline(0, color="0.6", lw=0.8)
right.set(xlabel="step", ylabel="difference of the two models", xticks=steps)
right.legend(frameon=False, fontsize=8)
plt.show()
