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
# # Boltzmann machines, with their likelihood
# A restricted Boltzmann machine is a Hamiltonian that learns. Most programs train one without ever
# knowing its likelihood. Here it is exact with 20 hidden units, and between two bounds with 64.

# %%
import os

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from sklearn.datasets import load_digits
from sklearn.neural_network import BernoulliRBM

from physdl import estimators, learning, networks, plotting

jax.config.update("jax_enable_x64", True)
quick = bool(os.environ.get("PHYSDL_QUICK"))
n_epochs, seeds, n_hidden, batch = (5, 1, 12, 100) if quick else (50, 3, 20, 100)
pixels = (load_digits().data > 0).astype(float)
pixels = pixels[np.random.default_rng(0).permutation(len(pixels))]
train, test = pixels[:1500], pixels[1500:]


def tiled(rows, n_columns=10):
    """Pictures of 8 x 8 pixels side by side."""
    pages = np.pad(rows.reshape(-1, 8, 8), ((0, 0), (0, 1), (0, 1)), constant_values=np.nan)
    return np.vstack([np.hstack(pages[k : k + n_columns]) for k in range(0, len(pages), n_columns)])


def show(ax, rows, title, **settings):
    ax.imshow(tiled(rows), interpolation="nearest", **settings)
    ax.set_title(title, fontsize=9)
    ax.set_axis_off()


# %% [markdown]
# ## Four negative phases, one loop
# `train_boltzmann` descends $\langle F\rangle_{\mathrm{data}}+\log Z$. What differs is how the
# gradient of $\log Z$ is had: by a sweep from the data (CD), by persistent chains (PCD), by chains
# on a ladder, by mean field. Same data, epochs and batches for all, and for
# scikit-learn's `BernoulliRBM`, which is PCD too, at the best of three learning rates. The
# likelihoods are exact (`LayerSum`), scikit-learn's too, from its weights.

# %%
n_steps = n_epochs * (len(train) // batch)
keys = jax.random.split(jax.random.key(0), seeds)


def machines(tree):
    return [jax.tree.map(lambda leaf: leaf[k], tree) for k in range(seeds)]


def ours(phase, rate, n_hidden, *, held_out=None):
    start = jax.vmap(lambda key: networks.RBM.initial(64, n_hidden, data=train, key=key))(keys)
    return learning.train_boltzmann(
        start,
        train,
        method=phase,
        optimizer=optax.sgd(optax.cosine_decay_schedule(rate, n_steps)),
        n_steps=n_steps,
        batch_size=batch,
        held_out=held_out,
        track=None if held_out is None else n_steps // 5,
        key=keys,
    )


def theirs(rate, n_hidden):
    found = []
    for seed in range(seeds):
        peer = BernoulliRBM(n_hidden, learning_rate=rate, batch_size=batch, n_iter=n_epochs)
        peer.set_params(random_state=seed).fit(train)
        parts = peer.components_.T, peer.intercept_visible_, peer.intercept_hidden_
        found.append(networks.RBM(*parts))
    return found


def likelihoods(found):
    """Of the data and of the others, for every machine: [2, n_machines]."""
    log_z = [float(estimators.LayerSum()(machine).log_z) for machine in found]
    energies = [
        [float(jnp.mean(jax.vmap(m)(jnp.asarray(x)))) for m in found] for x in (train, test)
    ]
    return -np.array(energies) - log_z


phases = {
    "CD(1)": (learning.CD(), 1.0),
    "PCD": (learning.PCD(), 1.0),
    "Tempered": (learning.Tempered(), 1.0),
    "MeanField(2)": (learning.MeanField(2), 0.3),
}
scores, looks = {}, {}
for name, (phase, rate) in phases.items():
    found = ours(phase, rate, n_hidden, held_out=test)
    scores[name], looks[name] = likelihoods(machines(found.result)), -np.asarray(found.monitored)
tried = [likelihoods(theirs(rate, n_hidden)) for rate in ([0.1] if quick else [0.05, 0.1, 0.2])]
scores["scikit-learn"] = max(tried, key=lambda values: values[0].mean())
print(f"{'':14s}{'train':>8s}{'test':>8s}   nats per digit, {seeds} seeds")
for name, (of_train, of_test) in scores.items():
    print(f"{name:14s}{of_train.mean():8.2f}{of_test.mean():8.2f} +/- {of_test.std():.2f}")

# %% [markdown]
# The likelihood is measured on the way by `track=`, here on digits that are not trained on.

# %%
figure, axes = plt.subplots(1, 2, figsize=(10, 3), layout="constrained")
for k, (name, (_, values)) in enumerate(scores.items()):
    axes[0].plot(values, [k] * len(values), "o", color=f"C{k}")
    if name in looks:
        steps = np.arange(1, looks[name].shape[1] + 1) * (n_steps // 5)
        epochs = np.minimum(steps, n_steps) * n_epochs / n_steps
        axes[1].plot(epochs, looks[name].mean(0), color=f"C{k}", label=name)
axes[0].set(
    yticks=range(len(scores)), yticklabels=scores, xlabel="test log-likelihood, nats per digit"
)
axes[0].invert_yaxis()
axes[0].grid(axis="x", alpha=0.3)
axes[1].set(xlabel="epoch", ylabel="test log-likelihood")
axes[1].legend(frameon=False)
plt.show()

# %% [markdown]
# ## 64 hidden units: two bounds
# The sum over a layer has $2^{64}$ terms. Annealing up bounds log Z from below, annealing back from
# above.

# %%
rates = {"PCD": 1.0, "MeanField(2)": 0.1}
large = {name: machines(ours(phases[name][0], rate, 64).result)[0] for name, rate in rates.items()}
large["scikit-learn"] = theirs(0.1, 64)[0]
annealed = estimators.ReverseAIS(estimators.AIS(n_chains=200 if quick else 1000))
print(f"{'':14s}{'log Z':>10s}{'':10s}{'test':>8s}   between")
for name, machine in large.items():
    out = annealed(machine.hamiltonian, key=jax.random.key(1))
    energy = float(jnp.mean(jax.vmap(machine)(jnp.asarray(test))))
    low, middle, high = (-energy - float(z) for z in (out.upper, out.log_z, out.lower))
    print(
        f"{name:14s}{float(out.log_z):10.3f} +/- {float(out.stderr):.3f}{middle:8.2f}   "
        f"{low:.2f} and {high:.2f}"
    )

# %% [markdown]
# ## What it knows
# Digits drawn by the machine (persistent chains of block Gibbs, started by annealing), and the
# weights of every hidden unit: strokes, and contrasts between strokes.

# %%
machine = large["PCD"]
chains = learning.PCD(k=200, n_chains=40)
begin = chains.start(machine, jnp.asarray(train[:1]), key=jax.random.key(2))
_, drawn = chains(machine, jnp.asarray(train[:1]), begin, key=jax.random.key(3))
figure, axes = plt.subplots(1, 3, figsize=(11, 3.2), layout="constrained")
show(axes[0], test[:40], "digits", cmap="gray_r")
show(axes[1], np.asarray(drawn), "drawn", cmap="gray_r")
weights = np.asarray(machine.weights)
order = np.argsort(-np.linalg.norm(weights, axis=0))[:40]
plotting.receptive_fields(weights[:, order], (8, 8), n_columns=10, bar=False, ax=axes[2])
axes[2].set_title("weights", fontsize=9)
plt.show()

# %% [markdown]
# ## Two modes
# Ten pixels, all on or all off, and a few errors. Chains at the machine itself stay in the mode
# where they are, and the gradient is wrong; a ladder exchanges them.

# %%
rng = np.random.default_rng(0)
modes = np.repeat(np.array([[0.0], [1.0]]), 200, axis=0)
flipped = rng.random((400, 10)) < 0.02
two = np.abs(modes - flipped)
ideal = -np.log(2) + 10 * (0.02 * np.log(0.02) + 0.98 * np.log(0.98))
n_two = 300 if quick else 1000
figure, ax = plt.subplots(figsize=(5.5, 3), layout="constrained")
compared = {"Exact": learning.Exact(), "CD(1)": learning.CD(), "PCD": learning.PCD()}
for name, phase in {**compared, "Tempered": learning.Tempered()}.items():
    found = learning.train_boltzmann(
        networks.RBM.initial(10, 3, data=two, key=jax.random.key(0)),
        two,
        method=phase,
        optimizer=optax.sgd(optax.cosine_decay_schedule(0.3, n_two)),
        n_steps=n_two,
        track=n_two // 20,
        key=jax.random.key(1),
    )
    ax.plot(n_two // 20 * np.arange(1, 21), -np.asarray(found.monitored), label=name)
ax.axhline(ideal, color="k", lw=0.8, label="two modes and noise")
ax.set(xlabel="step", ylabel="log-likelihood", ylim=(-6, -1))
ax.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
plt.show()
