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
# # Hamiltonians from data
# Samples are given, and the Hamiltonian is sought: its couplings with errors, which monomials the data need,
# and what remains of the question when all that is known are a few moments.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, learning, models, sampling, spaces
from physdl.hamiltonian import Hamiltonian, Sites, Stencil

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))


def drawn(h, n, seed=0):
    return np.asarray(sampling.exact_sample(h, n=n, key=jax.random.key(seed)).states[:, 0])


def couplings(h):
    return np.asarray(h.terms["degree 2"].coefficient)


def true_couplings(h):
    """The coefficient of every pair: the second derivatives of a quadratic polynomial."""
    i, j = learning.polynomial(h.shape).terms["degree 2"].table.array.T
    return np.asarray(jax.hessian(lambda x: h(x.reshape(h.shape)))(jnp.zeros(h.n_sites))[i, j])


# %% [markdown]
# ## Errors fall as one over the square root of the number of samples
# Pseudolikelihood against the true couplings, all fields and pairs being candidates.

# %%
sizes = np.geomspace(400, 4000 if quick else 50_000, 3 if quick else 7).astype(int)
systems = {
    "Ising, 4 x 4": models.ising(lattices.square(4, 4), 0.3),
    "SK glass, n = 10": models.sherrington_kirkpatrick(n_sites=10, seed=3),
}
figure, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
for name, h in list(systems.items())[1 if quick else 0 :]:
    true = true_couplings(h)
    x = drawn(h, sizes[-1])
    errors = [
        np.sqrt(np.mean((couplings(learning.pseudolikelihood(x[:n]).hamiltonian) - true) ** 2))
        for n in sizes
    ]
    slope = np.polyfit(np.log(sizes), np.log(errors), 1)[0]
    ax.loglog(sizes, errors, "o-", label=f"{name}: slope {slope:.2f}")
ax.set(xlabel="samples", ylabel="root mean square error of a coupling")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Formulas against fits
# The inverse Ising problem of a Sherrington-Kirkpatrick glass over the inverse temperature, as in D. Wu, L. Wang
# and P. Zhang (Phys. Rev. Lett. 122, 080602 (2019), Fig. 4b), here from samples: mean-field theories in closed
# form, in their order of sophistication, and pseudolikelihood. Hot, samples are the limit of all of them and
# theory of none; cold, theories break down one after the other.

# %%
n, n_samples = (10, 4000) if quick else (20, 20_000)
betas = np.linspace(0.2, 1.4, 3 if quick else 9)
methods = ("naive", "tap", "pairs", "bethe", "sessak-monasson")
errors = {name: [] for name in (*methods, "pseudolikelihood")}
for beta in betas:
    glass = models.sherrington_kirkpatrick(n_sites=n, beta=float(beta), seed=1)
    x, true = drawn(glass, n_samples), true_couplings(glass)
    for name in errors:
        fit = name == "pseudolikelihood"
        found = learning.pseudolikelihood(x).hamiltonian if fit else learning.mean_field(x, name)
        errors[name].append(np.sqrt(np.mean((couplings(found) - true) ** 2)) / beta)
figure, ax = plt.subplots(figsize=(6, 4), layout="constrained")
for name, values in errors.items():
    ax.semilogy(betas, values, "k.-" if name == "pseudolikelihood" else "o-", label=name)
ax.set(xlabel="beta", ylabel="error of J / beta")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Which monomials do the data need?
# A ring with couplings of neighbours and of three in a row. Families of growing degree and reach are scored by
# Schwarz's criterion: the true one wins once there are enough samples.

# %%
ring = lattices.chain(10)
triples = Sites(-0.25, [[k, (k + 1) % 10, (k + 2) % 10] for k in range(10)])
h = models.ising(ring, 0.4) + Hamiltonian({"triple": triples}, space=spaces.SPIN, shape=(10,))
families = {
    f"degree {degree}, reach {reach}": learning.polynomial(
        (10,), lattice=ring, degree=degree, reach=reach
    )
    for degree, reach in ((2, 1), (2, 2), (3, 2)) + (() if quick else ((1, 1), (4, 3)))
}
for n_seen in (2000,) if quick else (200, 2000, 20_000):
    print(n_seen, learning.select(drawn(h, n_seen), families), sep="\n", end="\n\n")

# %% [markdown]
# ## Real fields without Z
# Score matching needs derivatives alone. A phi^4 chain, H = sum (x_i - x_(i+1))^2 - x_i^2 / 2 + 0.3 x_i^4.

# %%
field = models.phi4(lattices.chain(8), r=-0.5, u=0.3)
run = sampling.run(
    sampling.HMC(step_size=0.25, n_leapfrogs=6),
    field,
    key=jax.random.key(0),
    n_sweeps=2000 if quick else 10_000,
    n_chains=4,
    n_kept=500 if quick else 2500,
)
x = run.ensemble.states.reshape(-1, 8)
powers = {"bond": [[0], [1]], "square": [[0], [0]], "fourth power": [[0]] * 4}
true = {"bond": -2.0, "square": 2.0 - 0.5, "fourth power": 0.3}  # (x - y)^2 is two squares and a bond
family = Hamiltonian(
    {name: Stencil(0.0, [offsets]) for name, offsets in powers.items()}, space=spaces.LINE, shape=(8,)
)
found = learning.score_matching(x, family)
for name, term in found.hamiltonian.terms.items():
    error = found.stderr.terms[name].coefficient
    print(f"{name:13} {float(term.coefficient):+.3f} +/- {float(error):.3f}   true {true[name]:+.3f}")

# %% [markdown]
# ## Moments only: the largest entropy
# The mean of a die is 4.5 (Jaynes). Of all distributions with that mean the one of largest entropy has
# p(k) proportional to exp(-h k).

# %%
faces = spaces.finite([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
mean = Hamiltonian({"face": Sites(jnp.array([4.5]), [[0]])}, space=faces, shape=(1,))
die = learning.maximum_entropy(mean)
p = estimators.site_marginals(die.hamiltonian, estimators.Enumeration())[0]
print("p =", np.round(np.asarray(p), 4), f"entropy {float(die.objective):.4f} nats")

# %% [markdown]
# ## Where the central limit theorem ends
# The sum of k uniform variables, normalised to variance one, has <x^4> = 3 - 1.2 / k. Its Hamiltonian of largest
# entropy with four moments, h_2 x^2 + h_4 x^4: the quartic term dies out as 1 / k, as the eigenvalue b^(-1) of the
# fourth cumulant says (``rg.CentralLimit``), and what is left is Gaussian, h_2 = 1/2. That is why quadratic
# Hamiltonians are everywhere.

# %%
def largest_entropy(k):
    values = (0.0, 1.0, 0.0, 3 - 1.2 / k)
    terms = {
        f"degree {d}": Sites(jnp.array([v]), np.zeros((1, d), int)) for d, v in enumerate(values, 1)
    }
    return learning.maximum_entropy(Hamiltonian(terms, space=spaces.LINE, shape=(1,))).hamiltonian


blocks = (1, 4, 16) if quick else (1, 2, 4, 8, 16, 32, 64)
found = [largest_entropy(k) for k in blocks]
second, fourth = (
    np.array([float(h.terms[f"degree {d}"].coefficient[0]) for h in found]) for d in (2, 4)
)
grid = jnp.linspace(-3, 3, 301)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for k, h in list(zip(blocks, found))[:4]:
    weight = np.exp(-np.asarray(jax.vmap(h)(grid[:, None])))
    left.plot(grid, weight / np.trapezoid(weight, grid), label=f"{k} summed")
left.plot(grid, np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi), "k:", label="Gaussian")
left.set(xlabel="x", ylabel="density")
left.legend(frameon=False)
right.loglog(blocks, fourth, "o-", label="h_4")
right.loglog(blocks, np.abs(second - 0.5), "s-", label="|h_2 - 1/2|")
right.loglog(blocks, 0.05 / np.array(blocks), "k:", label="1.2 / (24 k), the cumulant's")
right.set(xlabel="k", ylabel="coefficient")
right.legend(frameon=False)
plt.show()
