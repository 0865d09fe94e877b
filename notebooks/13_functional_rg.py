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
# # Fixed points as functions
# The functional renormalization group follows a whole function, the potential u of the field, from the smallest scale
# to the largest. A universality class is a fixed potential, and its exponents are the eigenvalues of the flow about
# it. One equation, in any dimension and for any number of components, both of which are real numbers that can be
# differentiated.

# %%
import dataclasses
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import rg

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))


@jax.jit
def solved(frg):
    """The fixed point of Wilson and Fisher, y_1 = 1 / nu and y_2 = -omega."""
    at = rg.fixed_point(frg, frg.guess())
    return at, rg.exponents(frg, at).y[:2]


# %% [markdown]
# ## What a fixed point looks like
# The potential as a function of the field, u(phi^2 / 2), its least value put to zero. In three dimensions it is a
# double well (for O(N) a brim): at the critical point the field has a size, in units of the scale, and no sign. With
# the field in units of its minimum the shape depends little on N and much on d: towards four dimensions the well goes
# away with the coupling, below three it deepens.


# %%
def profile(frg, couplings, reach):
    """phi and u(phi) by summing the slope u'."""
    phi = np.linspace(0, reach, 200)
    slope = np.asarray(jax.vmap(lambda p: frg.slope(couplings, p**2 / 2) * p)(jnp.asarray(phi)))
    u = np.concatenate([[0], np.cumsum((slope[1:] + slope[:-1]) / 2 * np.diff(phi))])
    return phi, u - u.min()


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
base = rg.FunctionalRG(n_components=1, dim=3)
for number in (1, 2, 4) if quick else (1, 2, 3, 4, 10):
    frg = dataclasses.replace(base, n_components=float(number))
    at, _ = solved(frg)
    unit = float(jnp.sqrt(2 * frg.minimum(at.couplings)))
    phi, u = profile(frg, at.couplings, 1.5 * unit)
    left.plot(np.append(-phi[::-1], phi) / unit, np.append(u[::-1], u), label=f"N = {number}")
for dim in (3.5, 3.0, 2.7) if quick else (3.8, 3.5, 3.2, 3.0, 2.8, 2.6):
    frg = dataclasses.replace(base, dim=dim)
    at, _ = solved(frg)
    unit = float(jnp.sqrt(2 * frg.minimum(at.couplings)))
    phi, u = profile(frg, at.couplings, 1.5 * unit)
    right.plot(np.append(-phi[::-1], phi) / unit, np.append(u[::-1], u), label=f"d = {dim:g}")
left.set(xlabel=r"$\phi / \phi_{\min}$", ylabel="$u(\\phi)$, d = 3")
right.set(xlabel=r"$\phi / \phi_{\min}$", ylabel="$u(\\phi)$, N = 1")
for ax in (left, right):
    ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## Numbers
# Three dimensions, Litim's regulator, the local potential approximation: nu and omega for O(N) beside those of a
# polynomial of order 14 about the minimum, a different code (values of the project's references; the method is D. F.
# Litim's, hep-th/0203006). The last column is what the approximation leaves out: for N = 1 the conformal bootstrap
# has nu = 0.62997 (arXiv:2411.15300).

# %%
published = {
    1: (0.649562, 0.655746), 2: (0.708211, 0.671223), 3: (0.761123, 0.69983), 4: (0.80435, 0.7337), 10: (0.918605, 0.871311)
}
print(f"{'N':>3} {'nu':>10} {'published':>10} {'omega':>10} {'published':>10}")
for number, (nu, omega) in published.items():
    _, y = solved(dataclasses.replace(base, n_components=float(number)))
    print(f"{number:3} {1 / y[0]:10.6f} {nu:10.6f} {-y[1]:10.6f} {omega:10.6f}")
    assert abs(1 / y[0] - nu) < 1e-5 and abs(-y[1] - omega) < 1e-4
_, y = solved(base)
print(f"N = 1 against the bootstrap: {float(1 / y[0]) / 0.62997097 - 1:+.1%}")

# %% [markdown]
# ## Between two and four dimensions
# The exponent nu over the dimension. In four dimensions it is Landau's 1/2 for all N; the spherical model (infinite N)
# has 1 / (d - 2) exactly; the dotted lines are the first order of the epsilon expansion, and the curves leave along
# them. The star shows what the approximation errs in three dimensions. Below that the error grows, as the anomalous
# dimension that is left out does.

# %%
dims = np.linspace(2.5, 3.95, 5 if quick else 16)
figure, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
for k, number in enumerate((1, 3) if quick else (1, 2, 3, 10)):
    frgs = [dataclasses.replace(base, n_components=float(number), dim=float(d)) for d in dims]
    ys = [solved(frg) for frg in frgs]
    good = [int(at.status) in (rg.RGStatus.OK, rg.RGStatus.DEGENERATE) for at, _ in ys]
    nu = [float(1 / y[0]) if ok else np.nan for (_, y), ok in zip(ys, good)]
    ax.plot(dims, nu, ".-", color=f"C{k}", label=f"N = {number}")
    first = np.asarray(rg.epsilon_series(n=float(number), loops=1).nu)
    near = np.linspace(3.3, 4, 10)
    ax.plot(near, first[0] + first[1] * (4 - near), ":", color=f"C{k}")
fine = np.linspace(2.5, 4, 100)
ax.plot(fine, 1 / (fine - 2), color="0.6", label="$N = \\infty$")
ax.plot(3, 0.62997097, "*", color="k", ms=9, label="bootstrap, N = 1")
ax.set(xlabel="$d$", ylabel=r"$\nu$", ylim=(0.45, 1.4))
ax.legend(frameon=False, fontsize=8)
plt.show()

# %% [markdown]
# ## How the flow gets there
# Two potentials a little above and a little below the critical one, polynomials about their minimum in three
# dimensions. Both come near the fixed point, stay, and leave to one side: the minimum grows without end (order), or
# falls to zero and is lost (disorder, where this polynomial ends and the flow is no longer defined). How long they
# stay grows with the logarithm of the distance, and the slope is nu: an exponent read off without any derivative.

# %%
polynomial = rg.FunctionalRG(n_components=1, dim=3, scale=1.2, potential=rg.AboutMinimum(4))
at, y = solved(polynomial)
n_steps = 60
kappa = lambda amount: rg.flow(polynomial, at.couplings.at[0].multiply(1 + amount), n_steps).couplings[:, 0]
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained")
for amount in (1e-3, -1e-3, 1e-5, -1e-5):
    left.plot(np.log(1.2) * np.arange(1, n_steps + 1), kappa(amount) / at.couplings[0], label=f"{amount:+g}")
left.set(xlabel="$l$, logarithm of the length", ylabel=r"$\kappa / \kappa^*$", ylim=(0, 3))
left.legend(frameon=False, fontsize=8)
distances = np.geomspace(1e-7, 1e-3, 5 if quick else 9)
lengths = []
for amount in distances:
    ratio = np.asarray(kappa(amount) / at.couplings[0])
    step = int(np.argmax(ratio > 2))
    share = (2 - ratio[step - 1]) / (ratio[step] - ratio[step - 1])
    lengths.append(np.log(1.2) * (step + share))
slope = np.polyfit(np.log(distances), lengths, 1)[0]
right.semilogx(distances, lengths, "o-", label=f"slope {-slope:.4f}")
right.set(xlabel=r"$\kappa / \kappa^* - 1$ at the start", ylabel=r"$l$ at which $\kappa = 2 \kappa^*$")
right.legend(frameon=False)
plt.show()
print(f"from the slope: nu = {-slope:.4f}; from the eigenvalue: nu = {float(1 / y[0]):.4f}")

# %% [markdown]
# ## Dimensions are differentiable
# The dimension and the number of components are arguments of one function, so how an exponent depends on them is a
# gradient, through the fixed point by the implicit function theorem. Against a difference quotient:

# %%
small = rg.FunctionalRG(n_components=2.0, dim=3.0, potential=rg.AboutMinimum(6))


def nu_of(n, d):
    frg = dataclasses.replace(small, n_components=n, dim=d)
    return 1 / rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0]


of_both = jax.jit(nu_of)
by_n, by_d = jax.jit(jax.grad(nu_of, argnums=(0, 1)))(2.0, 3.0)
step = 1e-4
quotient_n = (of_both(2 + step, 3.0) - of_both(2 - step, 3.0)) / (2 * step)
quotient_d = (of_both(2.0, 3 + step) - of_both(2.0, 3 - step)) / (2 * step)
print(f"d nu / d N = {by_n:.6f}   difference quotient {quotient_n:.6f}")
print(f"d nu / d d = {by_d:.6f}   difference quotient {quotient_d:.6f}")
