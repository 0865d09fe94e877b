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
# # From the central limit theorem to Landau's polynomial
# Why are Hamiltonians polynomials of low order? One answer in four steps, each computed: sums of independent
# variables forget all but two cumulants; near a critical point blocks of spins are not independent, and two moments
# become four; the couplings of all higher powers are irrelevant; and what little they still change dies out fast as
# the polynomial grows.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
from scipy import stats

from physdl import lattices, learning, models, plotting, reference, rg, sampling, spaces
from physdl.hamiltonian import Hamiltonian, Sites
from physdl.pytree import module

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
critical = float(reference.square_critical_coupling())

# %% [markdown]
# ## Sums forget
# Adding b equal independent variables and dividing by sqrt(b) is a renormalization-group map: it takes the n-th
# cumulant to b^(1 - n/2) times itself. The exponents are 1/2, 0, -1/2, -1: the mean is relevant, the variance sets the
# scale, everything else is irrelevant, and the Gaussian is the fixed point. On the left, the cumulants of an
# exponential variable with its mean taken off. On the right, sums of 8 and 32 of them (exact densities, dots) and
# exp(-H) for the polynomial H that the first four cumulants fix: H is quartic, and its higher coefficients fall with
# the powers of 1 / sqrt(b) that the exponents say.

# %%
clt = rg.CentralLimit(order=4, scale=2)
one = jnp.array([0.0, 1.0, 2.0, 6.0])
print("exponents", rg.exponents(clt, jnp.array([0.0, 1.0, 0.0, 0.0])).y)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), layout="constrained")
plotting.flow(rg.flow(clt, one, 6), [f"$\\kappa_{n}$" for n in (1, 2, 3, 4)], start=one, ax=left)
x = np.linspace(-2.6, 3.4, 200)
for number, k in enumerate((8, 32)):
    cumulants = rg.CentralLimit(order=4, scale=float(k))(one).couplings
    h = rg.edgeworth(cumulants)
    exact = stats.gamma(k, loc=-np.sqrt(k), scale=1 / np.sqrt(k)).pdf(x)
    shown = right.plot(x, np.exp(-np.polyval(np.asarray(h)[::-1], x)), label=f"$e^{{-H}}$, sum of {k}")
    right.plot(x[::8], exact[::8], ".", color=shown[0].get_color())
    print(f"sum of {k:2}: H = " + " ".join(f"{c:+.4f} x^{n}" for n, c in enumerate(h)))
right.set(xlabel="$x$", ylabel="density")
right.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Where the theorem ends
# The magnetization m of a block of L x L spins is a sum, but its terms are not independent. Histograms from the
# square Ising model at three temperatures: a bell, a flat top, two peaks. The curves are exp(-H) for the polynomial of
# largest entropy with the moments that were measured: two of them (dotted), or the second and the fourth (lines).
# Two moments suffice far from the critical point and fail near it; four give **Landau's free energy**,
# H = r m^2 + u m^4, and with it the flat top and the two peaks. What they miss is the edge, |m| <= 8, which a block of
# 8 x 8 spins cannot pass.


# %%
def largest_entropy(moments):
    """The Hamiltonian of largest entropy with given <m>, <m^2>, ... on the line."""
    terms = {f"degree {d}": Sites(jnp.array([v]), np.zeros((1, d), int)) for d, v in enumerate(moments, 1)}
    found = learning.maximum_entropy(Hamiltonian(terms, space=spaces.LINE, shape=(1,))).hamiltonian
    return [float(found.terms[f"degree {d}"].coefficient[0]) for d in range(1, len(moments) + 1)]


block = 8
torus = lattices.square(4 * block, 4 * block)


def magnetizations(k):
    """Of the blocks of a larger lattice, in units of their standard deviation at K = 0."""
    run = sampling.run(
        sampling.SwendsenWang(), models.ising(torus, k), key=jax.random.key(1),
        n_sweeps=200 if quick else 2000, n_chains=32, n_kept=50 if quick else 400,
    )  # fmt: skip
    x = np.asarray(run.ensemble.states).reshape(-1, 4, block, 4, block)
    return x.sum(axis=(2, 4)).reshape(-1) / block


ratios = (0.6, 0.85, 0.95)
figure, axes = plt.subplots(1, 3, figsize=(10, 3.2), layout="constrained", sharex=True)
m = np.linspace(-9, 9, 400)
for ax, ratio in zip(axes, ratios, strict=True):
    seen = magnetizations(ratio * critical)
    unit = np.sqrt(np.mean(seen**2))
    counts, edges = np.histogram(seen, np.arange(-block - 0.25, block + 0.5, 0.5), density=True)
    ax.stairs(counts, edges, fill=True, color="0.85")
    two = np.exp(-((m / unit) ** 2) / 2) / np.sqrt(2 * np.pi) / unit
    ax.plot(m, two, ":", color="C0", label="two moments")
    values = [0.0, 1.0, 0.0, np.mean(seen**4) / unit**4]
    h = largest_entropy(values)
    weight = np.exp(-(h[1] * (m / unit) ** 2 + h[3] * (m / unit) ** 4))
    ax.plot(m, weight / np.trapezoid(weight, m), color="C1", label="four moments")
    ax.set(xlabel="$m$", title=f"K = {ratio:g} $K_c$: r = {h[1]:+.2f}, u = {h[3]:.2f}", xlim=(-9, 9), yticks=[])
    ax.title.set_fontsize(9)
axes[0].set_ylabel("density")
axes[0].legend(frameon=False, fontsize=8, loc="upper left")
plt.show()

# %% [markdown]
# Landau's r falls smoothly through zero as the temperature falls, and the quartic coefficient u rises where r turns
# negative, to hold the distribution together. The zero lies below the critical coupling: a block has two preferred
# signs before the infinite lattice orders. Nothing singular happens to a block: singularities come from joining
# blocks, which is the renormalization group's part.

# %%
ratios = np.linspace(0.5, 0.95, 4 if quick else 10)
landau = []
for ratio in ratios:
    seen = magnetizations(ratio * critical)
    landau.append(largest_entropy([0.0, 1.0, 0.0, np.mean(seen**4) / np.mean(seen**2) ** 2]))
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(ratios, [h[1] for h in landau], "o-", label="$r$")
ax.plot(ratios, [h[3] for h in landau], "s-", label="$u$")
ax.axhline(0, color="0.6", lw=0.8)
ax.axhline(0.5, color="0.6", lw=0.8, ls=":", label="Gaussian, $r = 1/2$")
ax.set(xlabel="$K / K_c$", ylabel="coefficients of $m^2$, $m^4$ (unit variance)")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Which powers matter: Wilson's answer
# In a field theory in d dimensions the power phi^n has the exponent y_n = d - n (d - 2) / 2 at the Gaussian fixed
# point: below four dimensions n = 2 and n = 4 are relevant, above three n = 6 is not. So in 3 < d < 4 Landau's
# polynomial is all there is. The flow of its two couplings in d = 4 - epsilon, one loop: from the Gaussian point
# (0, 0) the quartic coupling leads to the point of Wilson and Fisher, which has one relevant direction left, the
# temperature.

# %%
for d in (4, 3.5, 3, 2.5):
    relevant = [n for n in range(2, 13, 2) if d - n * (d - 2) / 2 > 0]
    print(f"d = {d:3}: even powers that are relevant: {relevant}")


@module
class Landau:
    """The couplings (r, u) without a field."""

    whole: rg.EpsilonExpansion

    @property
    def scale(self):
        return self.whole.scale

    @property
    def dim(self):
        return self.whole.dim

    def beta(self, k):
        return self.whole.beta(jnp.concatenate([jnp.zeros(1), k]))[1:]

    def __call__(self, k):
        step = self.whole(jnp.concatenate([jnp.zeros(1), k]))
        return rg.RGStep(step.couplings[1:], step.log_weight, step.error)


flow = Landau(rg.EpsilonExpansion(n=1, epsilon=0.5, loops=1))
n = 9 if quick else 15
field = rg.flow_field(flow, np.linspace(-0.2, 0.2, n), np.linspace(-0.03, 0.28, n))
plotting.flow_field(field, ("$r$", "$u$"))
plt.show()
for at, y in zip(field.fixed_points, field.exponents):
    print(f"r = {at[0]:+.3f}, u = {at[1]:.4f}: exponents {np.sort(np.asarray(y))[::-1]}")

# %% [markdown]
# The exponent of the temperature, y_t = 1 / nu, as a series in epsilon. At epsilon = 1 the first two orders come near,
# and the next ones swing around the true value: the series diverges, and needs resummation to give more. Stars are the
# conformal bootstrap in three dimensions (arXiv:2411.15300) and Onsager's exponent in two.

# %%
epsilon = np.linspace(0, 2, 60)
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
for loops in (1, 2, 3, 4):
    y_t = np.asarray(rg.epsilon_series(n=1, loops=loops).y_t)
    ax.plot(4 - epsilon, np.polyval(y_t[::-1], epsilon), label=f"{loops} loop" + "s" * (loops > 1))
ax.plot([3, 2], [3 - 1.41262528, 1.0], "*", color="k", ms=9)
ax.set(xlabel="$d$", ylabel="$y_t$", ylim=(0.6, 2.05))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## How many powers are enough
# The functional renormalization group keeps the whole local potential u(phi). Cutting it to a polynomial about its
# minimum and adding one power after another shows what each is worth in three dimensions, where phi^6 is marginal
# and all beyond irrelevant: with phi^4 alone nu = 1/2, with phi^8 it is right to 0.2 %, and the error goes on falling,
# not evenly, but fast. The reference is the potential on a grid, without any polynomial.

# %%
grid = rg.FunctionalRG(n_components=1, dim=3)
nu = lambda frg: float(1 / rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y[0])
limit = nu(grid)
orders = range(2, 5 if quick else 11)
found = [nu(rg.FunctionalRG(n_components=1, dim=3, potential=rg.AboutMinimum(order))) for order in orders]
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.semilogy([2 * order for order in orders], np.abs(np.array(found) / limit - 1), "o-")
ax.set(xlabel="highest power of the field", ylabel=r"relative error of $\nu$")
plt.show()
print(f"grid: nu = {limit:.6f};", *(f"phi^{2 * o}: {v:.6f}" for o, v in zip(orders, found)))
