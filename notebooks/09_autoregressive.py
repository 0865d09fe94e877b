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
# # Free energies from networks that draw
# An autoregressive network is a distribution with exact draws and exact probabilities. Trained on nothing but
# the Hamiltonian, it bounds log Z from below, and its weighted draws find log Z (D. Wu, L. Wang and P. Zhang,
# Phys. Rev. Lett. 122, 080602, 2019).

# %%
import os

import jax
import matplotlib.pyplot as plt
import numpy as np
import optax

from physdl import estimators, lattices, learning, models, networks, plotting, reference

quick = bool(os.environ.get("PHYSDL_QUICK"))
L, width, n_steps, batch = (6, 16, 300, 64) if quick else (16, 64, 4000, 128)
optimizer = optax.chain(
    optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(1e-2, n_steps))
)
lattice = lattices.square(L, L)

# %% [markdown]
# ## A bound that tightens
# A network on the frontier of the sites that are drawn, at the critical point. It begins with what is known,
# the field of the fixed neighbours, and learns how the free ones act back.

# %%
critical = 0.5 * np.log(1 + np.sqrt(2))
h = models.ising(lattice, critical)
exact = float(reference.kaufman_log_z(L, L, critical))
start = networks.frontier(h, widths=(width,), cyclic=True, key=jax.random.key(0))
train = lambda q, h, anneal=0.0: learning.minimise_free_energy(
    q, h, optimizer=optimizer, n_steps=n_steps, batch_size=batch, anneal=anneal, key=jax.random.key(1)
)
found = train(start, h)
gap = np.asarray(found.losses) + exact
smooth = np.convolve(gap, np.ones(20) / 20, "valid")
figure, ax = plt.subplots(figsize=(5.5, 3.6), layout="constrained")
ax.semilogy(np.maximum(gap, 1e-4), ".", ms=2, alpha=0.4, label="one batch")
ax.semilogy(np.arange(len(smooth)) + 10, smooth, label="mean of 20")
ax.set(xlabel="step", ylabel=r"$F_q - F$ in nats", title=f"{L} x {L} torus at the critical point")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# ## Weighted draws
# The scatter of log w says how far the network is from the Boltzmann distribution; the mean of the weights
# corrects it.

# %%
before, after = (
    estimators.Autoregressive(q, n_samples=4096)(h, key=jax.random.key(2)) for q in (start, found.result)
)
print(f"exact              {exact:.4f}")
for name, out in (("fields alone", before), ("trained", after)):
    print(f"{name:15} {out}, bound {float(out.info['bound']):.4f}, "
          f"worth {float(out.info['effective_sample_size']):.0f} of 4096 draws")
figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
for name, out in (("fields alone", before), ("trained", after)):
    log_w = np.asarray(out.ensemble.log_weights).ravel() + np.log(4096) + float(out.ensemble.log_z)
    left.hist(log_w - exact, bins=60, density=True, alpha=0.6, label=name)
left.axvline(0, color="k", lw=0.8)
left.set(xlabel=r"$\log w - \log Z$", ylabel="density", xlim=(-8, 8))
left.legend(frameon=False)
plotting.configuration(h, after.ensemble.states[0, 0], ax=right).set_title("a draw")
plt.show()

# %% [markdown]
# ## All temperatures
# Another coupling is other data for the same compiled training. The bound is never above the exact value.

# %%
couplings = np.array([0.2, 0.35, critical, 0.5, 0.7]) if quick else np.append(np.arange(1, 11) / 10, critical)
couplings = np.sort(couplings)
rows = []
for k in couplings:
    model = models.ising(lattice, k)
    q = train(start, model).result
    out = estimators.Autoregressive(q, n_samples=4096)(model, key=jax.random.key(3))
    truth = float(reference.kaufman_log_z(L, L, k))
    rows.append([truth - float(out.info["bound"]), float(out.log_z) - truth, float(out.stderr)])
gaps, errors, stderr = np.array(rows).T
figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.4), layout="constrained")
left.semilogy(couplings, np.maximum(gaps, 1e-4), "o-")
left.axvline(critical, color="k", lw=0.5)
left.set(xlabel="K", ylabel=r"gap of the bound in nats")
right.errorbar(couplings, errors, 2 * stderr, fmt="o", capsize=3)
right.axhline(0, color="k", lw=0.5)
right.set(xlabel="K", ylabel=r"$\log Z$ of weighted draws $-$ exact", title="two standard errors")
plt.show()

# %% [markdown]
# ## A valley lost, and found again
# A distribution that knows one sign of the magnetisation only, here because its first spin was held while it was
# trained, has weights that look perfect, and finds a log Z that is too small by log 2. The symmetry is looked
# at, and the mixture over both signs mends it.

# %%
cold = models.ising(lattice, 0.7)
truth = float(reference.kaufman_log_z(L, L, 0.7))
held = models.ising(lattice, 0.7, np.eye(1, L * L)[0] * 8.0)
fallen = train(networks.frontier(held, widths=(8,), key=jax.random.key(5)), held).result
for name, q in (("fallen", fallen), ("mixture", networks.mixture(fallen, shifts=True))):
    out = estimators.Autoregressive(q, n_samples=4096)(cold, key=jax.random.key(4))
    print(f"{name:8} {out}, off by {float(out.log_z) - truth:+.3f}, symmetry {float(out.info['symmetry']):.2f}")
    print(f"{'':8} {estimators.Status(int(out.status)).message}")
