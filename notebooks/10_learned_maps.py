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
# # Networks that count and coarsen
# A network can take the place of an estimator of log Z, of a renormalization-group map, and of a block-spin
# rule. Each then stands where the original stood, and each is measured against an exact answer. The last
# section looks at a flow that is often taken for a renormalization, and is none.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax

from physdl import estimators, lattices, learning, models, networks, plotting, reference, rg, sampling, spaces
from physdl.theory import thermometer

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
critical = float(np.log(1 + np.sqrt(2)) / 2)

# %% [markdown]
# ## One network for a family
# log Z of the Ising model over coupling and field, from exact answers at random points: values, and moments
# as derivatives. The estimator reads the couplings off a Hamiltonian, and its moments are its gradient.

# %%
side = 4 if quick else 8
lattice = lattices.square(side, side)
box = estimators.CouplingBox(lambda k: models.ising(lattice, k[0], k[1]), [0.0, -0.5], [0.6, 0.5])
teacher = estimators.TransferMatrix()
n = 450 if quick else 3000
answers = learning.evaluate(teacher, box, n, key=jax.random.key(0))
learned = learning.amortise(
    answers, n_steps=1500 if quick else 20_000, odd=(1,), key=jax.random.key(1)
)
print(learned)
fresh = learning.evaluate(teacher, box, 300 if quick else 2000, key=jax.random.key(2))
off = jax.vmap(lambda z: learned.estimator(box(z)).log_z)(fresh.z) - fresh.log_z
half = float(learned.estimator.half_width)
print(f"log Z: {jnp.mean(jnp.abs(off)) / side**2:.1e} per site on fresh points")
print(f"{100 * jnp.mean(jnp.abs(off) <= half):.1f} % of them within the interval of level 95 %")
print(learned.estimator(models.ising(lattice, 0.4, field=0.1)))
print(learned.estimator(models.ising(lattice, 0.8, field=0.1)))

# %%
couplings = jnp.linspace(0.02, 0.58, 57)
slope = jax.grad(lambda h: learned.estimator(h).log_z)
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
for field in (0.0, 0.05, 0.2, 0.5):
    at = jax.vmap(slope)(jax.vmap(lambda k: models.ising(lattice, k, field=jnp.asarray(field)))(couplings))
    left.plot(couplings, -at.terms["site"].coefficient / side**2, label=f"h = {field}")
zero = jax.vmap(lambda k: models.ising(lattice, k, field=jnp.asarray(0.0)))(couplings)
energy = jax.vmap(slope)(zero).terms["bond"].coefficient / side**2
exact = jax.vmap(jax.grad(lambda k: reference.kaufman_log_z(side, side, k)))(couplings) / side**2
right.plot(couplings, -energy, label="network")
right.plot(couplings, exact, "k:", label="Kaufman")
left.set(xlabel="K", ylabel="magnetisation per site")
right.set(xlabel="K", ylabel="bond energy per site, h = 0")
left.legend(frameon=False)
right.legend(frameon=False)
plt.show()

# %%
grid = np.asarray(jax.vmap(box.couplings)(fresh.z))
figure, ax = plt.subplots(figsize=(5.5, 4), layout="constrained")
dots = ax.scatter(grid[:, 0], grid[:, 1], c=np.log10(np.abs(off) / side**2), s=8, vmin=-8, vmax=-3)
ax.set(xlabel="K", ylabel="h", title="where the error is: log10 of it, per site")
figure.colorbar(dots)
plt.show()

# %% [markdown]
# ## A network that is a renormalization map
# `learn_rg` teaches values and Jacobians; fixed points, exponents and critical points are then found by the
# functions that serve any map.

# %%
cases = {
    "bond moving, d = 2": (rg.MigdalKadanoff(2, 2), [0.1], [0.6], [0.3]),
}
if not quick:
    cases["triangles, order 1"] = (rg.Cumulant(1), [0.2, -0.1], [0.45, 0.1], [0.3, 0.0])
    cases["triangles, order 2"] = (
        rg.Cumulant(2),
        [0.2, -0.05, -0.05, -0.1],
        [0.36, 0.05, 0.05, 0.1],
        [0.28, -0.014, -0.015, 0.0],
    )
maps = {}
for name, (exact_map, lower, upper, guess) in cases.items():
    found = learning.learn_rg(
        exact_map,
        jnp.array(lower),
        jnp.array(upper),
        n_steps=1500 if quick else 5000,
        key=jax.random.key(3),
    )
    maps[name] = found.rg
    print(f"{name}: {found}")
    for label, one in (("exact", exact_map), ("network", found.rg)):
        fixed = rg.fixed_point(one, jnp.array(guess))
        y = rg.exponents(one, fixed).y
        print(f"  {label:8} k* = {np.round(fixed.couplings, 6)}  y = {np.round(y, 5)}")

# %%
k = jnp.linspace(0.1, 0.6, 101)[:, None]
step, exact_map = maps["bond moving, d = 2"], rg.MigdalKadanoff(2, 2)
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(k, jax.vmap(step)(k).couplings, label="network")
left.plot(k, jax.vmap(exact_map)(k).couplings, "k:", label="exact")
left.plot(k, k, lw=0.7)
left.set(xlabel="K", ylabel="K'")
left.legend(frameon=False)
slopes = [jax.vmap(jax.jacfwd(lambda k, m=m: m(k).couplings))(k)[:, 0, 0] for m in (step, exact_map)]
right.semilogy(k[:, 0], np.abs(jax.vmap(step)(k).couplings - jax.vmap(exact_map)(k).couplings)[:, 0], label="K'")
right.semilogy(k[:, 0], np.abs(slopes[0] - slopes[1]), label="dK'/dK")
right.set(xlabel="K", ylabel="error")
right.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Block spins that are learned
# A filter gives every block a field, and the block spin is drawn from it. It is learned as the hidden layer of
# a Boltzmann machine with one filter everywhere, or tuned until the block spins of a lattice have the
# correlations that spins have. Then it stands where a majority stands in the Monte Carlo renormalization
# group; exact are y_T = 1 and y_H = 15/8.

# %%
length = 8 if quick else 16


def equilibrium(length, n, key):
    h = models.ising(lattices.square(length, length), critical)
    run = sampling.run(
        sampling.SwendsenWang(), h, key=key, n_sweeps=8 * n // 20, n_chains=20, n_kept=n // 20
    )
    return run.ensemble.states.reshape(-1, length, length).astype(float)


large = equilibrium(2 * length, 400 if quick else 1000, jax.random.key(4))
small = equilibrium(length, 2000 if quick else 8000, jax.random.key(5))
operators = rg.operator_basis(lattices.square(8, 8), 4, {2: 1.5} if quick else {2: 2.3, 4: 1.5})


def centred(width, weight):
    window = np.zeros((width, width))
    inner = slice(width // 2 - 1, width // 2 + 1)
    window[inner, inner] = weight
    return learning.SpinFilter(jnp.asarray(window))


rules = {"majority": rg.Majority(2)}
rate = optax.adam(optax.cosine_decay_schedule(3e-2, 200 if quick else 1000))
for width in (4,) if quick else (2, 4, 6):
    rules[f"matched, width {width}"] = learning.match_filter(
        large, small, centred(width, 0.8), operators, optimizer=rate,
        n_steps=200 if quick else 1000, key=jax.random.key(6),
    ).result  # fmt: skip
for width in (4,) if quick else (2, 4, 8):
    rules[f"machine, width {width}"] = learning.learn_filter(
        small, centred(width, 0.4), n_steps=100 if quick else 1000, key=jax.random.key(7)
    ).result
figure, axes = plt.subplots(1, len(rules) - 1, figsize=(2.4 * len(rules), 2.6), layout="constrained")
for ax, (name, rule) in zip(axes, list(rules.items())[1:]):
    plotting.receptive_fields(rule.weights.reshape(-1, 1), rule.weights.shape, ax=ax)
    ax.set_title(name, fontsize=9)
plt.show()

# %%
torus = lattices.square(2 * length, 2 * length)
even = rg.operator_basis(lattices.square(8, 8), 4, {2: 2.0, 4: 1.5})
odd = rg.operator_basis(lattices.square(8, 8), 3, 1.5, parity="odd")
n_steps = 1 if quick else 3
rows = {}
for name, rule in rules.items():
    found = rg.mcrg_run(
        sampling.SwendsenWang(),
        models.ising(torus, critical),
        rule,
        even=even,
        odd=odd,
        n_steps=n_steps,
        n_sweeps=150 if quick else 4000,
        n_chains=16,
        key=jax.random.key(8),
    )
    rows[name] = [[sector.y(s) for s in range(1, n_steps + 1)] for sector in (found.even, found.odd)]
print(f"{'':20}{'y_T by step':{12 * n_steps}}y_H by step")
for name, sectors in rows.items():
    text = ["".join(f"{f'{y.value:.4f}({1e4 * y.stderr:.0f})':12}" for y in s) for s in sectors]
    print(f"{name:20}" + "".join(text))
for name, (thermal, magnetic) in rows.items():
    y_t, y_h = thermal[-1 if quick else 1], magnetic[-1]
    nu, eta = 1 / y_t.value, 4 - 2 * y_h.value
    print(f"{name:20} nu = {nu:.4f}({1e4 * nu**2 * y_t.stderr:.0f})  eta = {eta:.4f}({2e4 * y_h.stderr:.0f})")

# %% [markdown]
# ## The flow of a Boltzmann machine
# A machine that was trained on configurations of many temperatures takes a configuration to its hidden layer
# and back, again and again. This has been read as a flow towards the critical temperature. Here temperature is
# the maximum-likelihood reading of the mean energy, no network's opinion. The flow is block Gibbs sampling and
# ends at the distribution of the machine, whatever it has learned of a mixture of temperatures: where that is
# changes with the temperatures shown, with the method, and with the number of updates. Lines are the critical
# temperature and (dotted) that of the mean energy of the data; the histograms compare the end of the flow with
# the Ising model of the same mean energy.

# %%
ising = thermometer.ising_torus(10, 10)
draw = dict(kernel=sampling.SwendsenWang(), n_sweeps=10 if quick else 40)


def states(temperatures, key):
    return thermometer.thermal_states(ising.h, 1 / temperatures, key=key, **draw).reshape(-1, 100)


energies = jax.jit(jax.vmap(lambda v: ising.h(v.reshape(10, 10))))
reading = jax.jit(lambda e: 1 / thermometer.maximum_likelihood(ising, e, upper=4.0).beta)
per = 10 if quick else 80
sets = {"T from 0.25 to 6": (0.25, 6.0), "T from 2 to 10": (2.0, 10.0)}
methods = {"CD": learning.CD(1)} if quick else {"CD": learning.CD(1), "PCD": learning.PCD()}
n_updates, n_flow = (200, 30) if quick else (6000, 300)
rule = optax.adam(optax.cosine_decay_schedule(3e-3, n_updates))
starts = {t: states(jnp.full(100 if quick else 400, t), jax.random.key(9)) for t in ((1.0, 6.0) if quick else (1.0, 2.269, 6.0))}
panels = [(s, m) for s in (list(sets)[:1] if quick else sets) for m in methods]
figure, axes = plt.subplots(2, len(panels), figsize=(4.2 * len(panels), 6.5), layout="constrained", squeeze=False)
for (upper, below), (label, method) in zip(axes.T, panels):
    data = states(jnp.asarray(np.repeat(np.linspace(*sets[label], 24), per)), jax.random.key(10))
    machine = networks.RBM.initial(
        100, 64, visible=spaces.SPIN, hidden=spaces.SPIN, data=data, key=jax.random.key(11)
    )
    machine = learning.train_boltzmann(
        machine, data, method=methods[method], optimizer=rule,
        n_steps=n_updates, batch_size=64, key=jax.random.key(12),
    ).result  # fmt: skip
    mixture = energies(data)
    for t, begin in starts.items():
        keys = jax.random.split(jax.random.key(13), len(begin))
        flow = jax.vmap(lambda v, key: learning.reconstructions(machine, v, n_steps=n_flow, key=key))(begin, keys)
        path = jax.lax.map(lambda v: reading(jnp.mean(energies(v))), jnp.swapaxes(flow, 0, 1))
        upper.plot(np.arange(n_flow + 1) + 1, path, label=f"from T = {t:g}")
    upper.axhline(1 / critical, color="k", lw=0.7)
    upper.axhline(float(reading(jnp.mean(mixture))), color="k", ls=":", lw=1)
    upper.set(xscale="log", xlabel="1 + steps", ylabel="T by likelihood", ylim=(0, 6.5), title=f"{label}, {method}")
    last, bins = energies(flow[:, -1]), np.linspace(-200, 40, 49)
    alike = states(jnp.full(len(last), float(reading(jnp.mean(last)))), jax.random.key(14))
    for values, name in ((mixture, "trained on"), (last, "end of the flow"), (energies(alike), "Ising of that T")):
        below.hist(np.asarray(values), bins, density=True, histtype="step", label=name)
    below.set(xlabel="energy", ylabel="density")
axes[0, 0].legend(frameon=False, fontsize=8)
axes[1, 0].legend(frameon=False, fontsize=8)
plt.show()
