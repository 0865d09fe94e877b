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
# # Why cheap learning works
# H. W. Lin, M. Tegmark and D. Rolnick (arXiv:1608.08225) ask why small networks do so well. Their answer, run:
# Hamiltonians of physics are polynomials of low degree, a network multiplies with four neurons, depth pays
# where causes come in levels, and renormalization keeps what matters.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from physdl import lattices, models, networks, rg, sampling
from physdl.theory import audit, expressivity, hierarchy, thermometer

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))

# %% [markdown]
# ## Four neurons multiply
# The error falls as the square of the scale of the weights, or as its fourth power at the bias where the
# fourth derivative vanishes, until rounding ends it.

# %%
scales = np.geomspace(1e-5, 1, 61)
u, v = 0.7, -0.4
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
for bias in ("generic", "fourth_order"):
    for double, style in ((True, "-"), (False, ":")):
        with jax.enable_x64(double):
            gates = [networks.gates.product(networks.SOFTPLUS, bias=bias, scale=float(s)) for s in scales]
            off = [abs(float(gate(jnp.array([u, v]))) / (u * v) - 1) for gate in gates]
        label = f"{bias}, {'double' if double else 'single'} precision"
        ax.loglog(scales, np.maximum(off, 1e-17), style, label=label)
ax.set(xlabel="scale of the first layer", ylabel="relative error of u v", ylim=(1e-12, 1e7))
ax.legend(frameon=False, loc="upper right")
plt.show()

# %% [markdown]
# ## What a Hamiltonian costs
# The number of neurons does not depend on the accuracy; the weights do.

# %%
costs = {
    "Ising 6 x 6": (models.ising(lattices.square(6, 6), 0.44), None),
    "phi^4 on 4 x 4": (models.phi4(lattices.square(4, 4), r=-1.0, u=0.5), 1.5),
    "3-spin glass": (models.p_spin(n_sites=8, p=3, seed=0), None),
}
print(f"{'':16}{'tolerance':>10}{'neurons':>9}{'weight':>10}{'predicted':>11}{'measured':>10}")
for name, (h, radius) in costs.items():
    for tolerance in (1e-2, 1e-4):
        _, report = networks.compile_polynomial(h, tolerance=tolerance, radius=radius)
        row = (report.largest_weight, report.predicted_error, report.measured_error)
        print(f"{name:16}{tolerance:10.0e}{report.neurons:9d}" + "".join(f"{r:10.1e}" for r in row))

# %% [markdown]
# ## Depth against width
# Neurons of a product of n numbers in at most k hidden layers: 2^n in one, 4 (n - 1) in a tree.

# %%
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
depths = range(1, 7)
for n in (8, 16, 32, 64, 128):
    (row,) = expressivity.grouping_table([n], depths)
    ax.semilogy(depths, [float(c) for c in row], "o-", label=f"n = {n}")
ax.set(xlabel="hidden layers", ylabel="neurons", ylim=(10, 1e22))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# One neuron fewer than 2^n, and no second layer will do: a certificate by the rank of one matrix.

# %%
signs = networks.gates.monomial(networks.EXP, (1, 1, 1), bias=0.0, scale=1.0).grid
print(expressivity.shallow_rank((1, 1, 1), signs, networks.EXP).verdict)
print(expressivity.shallow_rank((1, 1, 1), signs[:, 1:], networks.EXP).verdict)

# %% [markdown]
# What exists need not be found. Networks trained to multiply, mean absolute error relative to the best
# constant (below one: something was learned), over depth and width.

# %%
trained = expressivity.product_trainability(
    4 if quick else 8,
    depths=(1, 2) if quick else (1, 2, 3, 4),
    widths=(8, 16) if quick else (8, 16, 32, 64),
    optimizer=optax.adam(3e-3),
    n_steps=200 if quick else 5000,
    n_networks=2 if quick else 4,
    n_test=2**12,
    key=jax.random.key(0),
)
figure, ax = plt.subplots(figsize=(5, 3.6), layout="constrained")
shown = ax.imshow(trained.mean / trained.trivial, origin="lower", cmap="viridis_r")
ax.set_xticks(range(len(trained.widths)), trained.widths)
ax.set_yticks(range(len(trained.depths)), trained.depths)
ax.set(xlabel="width", ylabel="hidden layers")
figure.colorbar(shown, label="error / error of a constant")
plt.show()

# %% [markdown]
# ## Levels of causes, layers of inference
# A bit passed down through noisy channels loses information at every level; the minimal sufficient
# statistic of each level loses none of what is left. A grammar writes strings level by level, and a
# network that learned to read it turns the levels around: deep layers know the class and forget the leaves.

# %%
profile = hierarchy.information_profile(hierarchy.binary_symmetric_cascade(0.1, 8))
grammar = hierarchy.random_grammar(4, 2, 2, 2 if quick else 3, key=jax.random.key(1))
reader = hierarchy.train_reader(
    grammar,
    optimizer=optax.adam(3e-3),
    n_steps=300 if quick else 4000,
    key=jax.random.key(2),
)
table = hierarchy.layers_against_levels(
    grammar,
    reader.result,
    optimizer=optax.adam(1e-2),
    n_steps=100 if quick else 500,
    n_strings=512 if quick else 2048,
    key=jax.random.key(3),
)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
left.plot(profile.levels / hierarchy.BIT, "o-", label="level")
left.plot(profile.statistics / hierarchy.BIT, "x", ms=9, label="its minimal statistic")
left.set(xlabel="level", ylabel="information about the bit (bits)")
left.legend(frameon=False)
shown = right.imshow(table.explained, origin="lower", vmin=0, vmax=1, aspect="auto")
right.set(xlabel="level of the grammar (0 is the class)", ylabel="layer of the network")
right.set_xticks(range(table.explained.shape[1]))
right.set_yticks(range(table.explained.shape[0]))
figure.colorbar(shown, label="variance fixed by the symbols of the level")
plt.show()

# %% [markdown]
# ## Is this a renormalization?
# Each single criterion has been taken for the whole, and each is met by a construction that renormalizes
# nothing. All of them together are an audit.

# %%
ring = models.ising(lattices.chain(8), 1.0)
coarse = lattices.chain(4)
energies = audit.energy_table(ring)
steps = {
    "every other spin": audit.block_kernel(rg.BlockDecimation(2), (8,)),
    "majority of two": audit.block_kernel(rg.Majority(2), (8,)),
    "a bath of one's own": audit.noninteracting(256, audit.energy_table(models.ising(coarse, 0.3))),
    "Lin and Tegmark's": audit.lin_tegmark(energies, jnp.cos(jnp.arange(256.0))),
}
for name, kernel in steps.items():
    local = coarse if kernel.shape[1] == 16 else None
    print(f"{name}: {audit.audit(kernel, ring, lattice=local).verdict}\n")

# %% [markdown]
# What a block of two spins still knows of the chain beyond its neighbours, if one of the two is kept.

# %%
couplings = np.linspace(0.05, 2.0, 20)
keep_one = audit.block_kernel(rg.BlockDecimation(2), (2,))
majority = audit.block_kernel(rg.Majority(2), (2,))
figure, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
for name, kernel in (("one of the two", keep_one), ("majority, ties drawn", majority)):
    share = [
        float(
            audit.information_kept(
                models.ising(lattices.chain(6, periodic=False), k),
                kernel,
                block=[2, 3],
                environment=[0, 5],
            ).share
        )
        for k in couplings
    ]
    ax.plot(couplings, share, label=name)
ax.set(xlabel="K", ylabel="I(H; E) / I(V; E)", ylim=(0, 1))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Which temperature?
# Cats and dogs as inverse temperatures. No unbiased reading of one configuration is better than the line of
# Cramer and Rao. Maximum likelihood comes near it with one configuration, and reaches it with many; the
# exact posterior knows the range of the prior as well, which is why it may be below the line. What a
# thermometer that sees block spins loses against it is what renormalization threw away.

# %%
n = 8 if quick else 16
model = thermometer.ising_torus(n, n)
betas = jnp.linspace(0.25, 0.5, 11)
per_beta = 40 if quick else 400
labels = np.repeat(np.arange(len(betas)), per_beta)
draw = dict(kernel=sampling.SwendsenWang(), n_sweeps=30 if quick else 100)
seen = thermometer.thermal_states(model.h, betas[labels], key=jax.random.key(4), **draw)
fresh = thermometer.thermal_states(model.h, betas[labels], key=jax.random.key(5), **draw)
blocked = [rg.Majority(2)]


def coarser(x, key):
    keys = jax.random.split(key, len(x))
    return jax.vmap(lambda x, k: thermometer.coarsened(x, blocked, key=k))(x, keys)


learned = thermometer.calibrate(
    rg.operator_basis(lattices.square(n // 2, n // 2), 2, 1.5),
    coarser(seen, jax.random.key(6)),
    labels,
    betas,
    optimizer=optax.lbfgs(),
    n_steps=60,
    key=jax.random.key(7),
).result
energies = jax.vmap(model.h)(fresh)
best = jax.vmap(lambda e: thermometer.maximum_likelihood(model, e, upper=1.0).beta)(energies)
exact = thermometer.posterior(model, energies, betas) @ betas
block = jax.vmap(learned.read)(coarser(fresh, jax.random.key(8))).beta
inner = range(2, len(betas) - 2)
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
line = [float(thermometer.cramer_rao(model, b).sigma_beta) for b in betas[2:-2]]
ax.plot(betas[2:-2], line, "k", label="Cramer and Rao")
every = {
    "maximum likelihood": (best, "o"),
    "exact posterior": (exact, "x"),
    "block spins, learned": (block, "s"),
}
for name, (readings, mark) in every.items():
    found = [thermometer.accuracy(readings[labels == i], betas[i]).rmse for i in inner]
    ax.errorbar(
        betas[2:-2], [f.value for f in found], [f.stderr for f in found], fmt=mark, label=name
    )
ax.set(xlabel="beta", ylabel="error of one reading")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# Exactly, on 4 x 4 spins: the share of the information about temperature that is left after one step.

# %%
small = models.ising(lattices.square(4, 4), 1.0)
grid = np.linspace(0.05, 0.8, 16)
figure, ax = plt.subplots(figsize=(5.5, 3.8), layout="constrained")
for name, step in (("majority", rg.Majority(2)), ("one of four", rg.BlockDecimation(2))):
    shares = [float(thermometer.information_kept(small, (step,), b).share[1]) for b in grid]
    ax.plot(grid, shares, label=name)
ax.set(xlabel="beta", ylabel="I' / I", ylim=(0, 1))
ax.legend(frameon=False)
plt.show()
