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
# # physdl in five minutes
# One noun, three verbs: a **Hamiltonian** is a polynomial in the variables of many sites, and you *count* it
# (log Z), you *coarsen* it (renormalization), you *learn* it (networks). Everything is a pure function of a pytree,
# so it can be differentiated, batched and compiled. This tour does each once, in two dimensions, at the critical
# point of the Ising model.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from physdl import estimators, lattices, models, networks, plotting, reference, rg, sampling, spaces
from physdl.hamiltonian import Hamiltonian, Sites

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
critical = reference.square_critical_coupling()

# %% [markdown]
# ## Define
# A model is a space, a shape and named terms. Models of the literature have a name; any other polynomial is
# written down. Temperature is absorbed: the weight of a state is exp(-H).

# %%
side = 4 if quick else 6
torus = lattices.square(side, side)
h = models.ising(torus, critical)
cubic = Hamiltonian(
    {"pairs": Sites(-0.5, [[0, 1], [1, 2], [0, 2]]), "triple": Sites(0.2, [[0, 1, 2]])}, space=spaces.SPIN, shape=(3,)
)
print(h, cubic, f"H(1, 1, -1) = {cubic(jnp.array([1, 1, -1])):g}", sep="\n")

# %% [markdown]
# ## Count
# An estimator takes a Hamiltonian and gives log Z with an error, bounds where it has them, and a status that says
# whether to trust it. Exact methods have no error. A bracket is a bound; Kaufman's formula is the line.

# %%
methods = {
    "transfer matrix": estimators.TransferMatrix(),
    "mean field (TAP)": estimators.TAP(),
    "annealing, up and down": estimators.ReverseAIS(estimators.AIS(n_temperatures=64 if quick else 256)),
}
found = {name: method(h, key=jax.random.key(0)) for name, method in methods.items()}
print(*(f"{name:23} {estimate}" for name, estimate in found.items()), sep="\n")
plotting.estimates(found, exact=reference.kaufman_log_z(side, side, critical), n_sites=h.n_sites)
plt.show()

# %% [markdown]
# ## Differentiate
# The gradient of log Z with respect to a Hamiltonian is a Hamiltonian: minus the expected monomials. Two
# derivatives are the specific heat. ``Auto`` takes the exact method that suits. Behind, Onsager's infinite lattice.

# %%
log_z = lambda h: estimators.Auto()(h).log_z
energy = -jax.grad(log_z)(h).terms["bond"].coefficient / torus.n_bonds
print(f"<s s'> of neighbours: {energy:.6f}")

of_coupling = lambda k: log_z(models.ising(torus, k)) / torus.n_sites
k = jnp.linspace(0.2, 0.7, 11 if quick else 41)
heat = k**2 * jax.jit(jax.vmap(jax.grad(jax.grad(of_coupling))))(k)
fine = jnp.linspace(0.2, 0.7, 400)
figure, ax = plt.subplots(figsize=(5, 3.2), layout="constrained")
ax.plot(fine, jax.vmap(reference.onsager_specific_heat)(fine), color="0.6", label="Onsager")
ax.plot(k, heat, "o-", ms=3, label=f"{side} x {side}, two derivatives of log Z")
ax.set(xlabel="$K$", ylabel="specific heat per site ($k_B$)", ylim=(0, 3))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Sample
# Markov kernels for every model; errors know the autocorrelation. Clusters of all sizes at the critical point.

# %%
large = lattices.square(64, 64) if quick else lattices.square(256, 256)
run = sampling.run(
    sampling.SwendsenWang(), models.ising(large, critical), key=jax.random.key(1),
    n_sweeps=300 if quick else 1000, n_chains=2, n_kept=1,
)
print(run)
plotting.configuration(models.ising(large, critical), run.ensemble.states[0, -1], bar=False)
plt.show()

# %% [markdown]
# ## Coarsen
# A renormalization-group map takes couplings to those of a coarser lattice. Where they stand still the system looks
# the same on all scales; how fast they leave is a critical exponent, by differentiating the map. Here bonds are
# moved and decimated, for a coupling K and a field h: arrows show where couplings go. The critical point lies
# between order and disorder, and a field drives both away from it.

# %%
bond = rg.MigdalKadanoff(2, 2, rg.bond(spaces.SPIN, field=True))
n = 9 if quick else 15
plotting.flow_field(rg.flow_field(bond, np.linspace(0.0, 0.8, n), np.linspace(-0.2, 0.2, n)), ("$K$", "$h$"))
plt.show()
at = rg.fixed_point(bond, jnp.array([0.3, 0.0]))
print("fixed point", at.couplings, " exponents y", rg.exponents(bond, at).y, " (exact: 1.875, 1)")

# %% [markdown]
# ## Compile
# A polynomial is a small network: a monomial of n spins needs a gate of 2^n neurons, whose weights come from a
# formula and not from training. The network computes H to the tolerance asked for.

# %%
network, report = networks.compile_polynomial(models.ising(lattices.square(4, 4), critical), tolerance=1e-6)
print(report)
spins = jax.random.rademacher(jax.random.key(2), (5, 4, 4), dtype=float)
error = jax.vmap(network)(spins) - jax.vmap(models.ising(lattices.square(4, 4), critical))(spins)
print(f"largest error on five random states: {jnp.max(jnp.abs(error)):.1e}")

# %% [markdown]
# ## Learn
# And back: configurations of the critical model, a Hamiltonian of couplings at four distances, and the couplings
# with their errors by pseudolikelihood. The crosses are the truth: one coupling, and nothing else.

# %%
medium = lattices.square(16, 16)
seen = sampling.run(
    sampling.SwendsenWang(), models.ising(medium, critical), key=jax.random.key(3),
    n_sweeps=200 if quick else 1000, n_chains=16, n_kept=50 if quick else 200,
).ensemble.states
basis = rg.operator_basis(medium, max_range={2: 2.3, 4: 1.5})
fit = rg.pseudolikelihood(seen, basis, n_blocks=32)
plotting.couplings(fit, known={o.name: 0.0 for o in basis} | {"nearest neighbour": critical})
plt.show()

# %% [markdown]
# The other notebooks take these one by one. `physdl study ising` on the command line writes a report of a model
# that does most of this at once.
