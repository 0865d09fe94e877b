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
# # Your own Hamiltonian
# From a file, from a graph, from a space of your own, with hard constraints: once it is a Hamiltonian,
# everything else is the same.

# %%
import pathlib
import tempfile

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import networkx as nx
import numpy as np

from physdl import estimators, files, lattices, models, plotting, report, sampling, spaces
from physdl.hamiltonian import Hamiltonian, Potential, Sites

jax.config.update("jax_enable_x64", True)
folder = pathlib.Path(tempfile.mkdtemp())

# %% [markdown]
# ## A graphical model in a UAI file
# Tables of weights; the partition function by hand is 0.4 (1 + 2 + 3) + 0.6 (4 + 5 + 0).

# %%
path = folder / "two.uai"
path.write_text("MARKOV\n2\n2 3\n2\n1 0\n2 0 1\n2\n 0.4 0.6\n6\n 1 2 3\n 4 5 0\n")
h = files.load(path)
z = float(jnp.exp(estimators.Auto()(h).log_z))
print(h, "Z =", round(z, 12))
assert np.isclose(z, 0.4 * 6 + 0.6 * 9)

# %% [markdown]
# ## A weighted graph
# An edge list, as published spin glasses are kept: `i j w`, sites from 1. Its ground state by
# enumeration, and the energy of a configuration drawn at a low temperature.

# %%
graph = nx.petersen_graph()
rng = np.random.default_rng(0)
edges = [(i + 1, j + 1, int(rng.choice([-1, 1]))) for i, j in graph.edges]
listed = folder / "petersen.txt"
listed.write_text(f"10 {len(edges)}\n" + "\n".join(f"{i} {j} {w}" for i, j, w in edges) + "\n")
glass = files.load(listed, beta=3.0)
drawn = sampling.exact_sample(glass, n=1, key=jax.random.key(0)).states.reshape(10)
figure, ax = plt.subplots(figsize=(4.5, 4), layout="constrained")
plotting.configuration(glass, drawn, lattice=lattices.from_networkx(graph), ax=ax)
plt.show()
print(estimators.Auto()(glass), "energy drawn", float(glass(drawn)) / 3)

# %% [markdown]
# ## A space and terms of your own
# Sites that are -2, 0 or 3; a three-body term; a hard constraint that forbids two equal neighbours.
# A polynomial and a table stand side by side, and brute force agrees.

# %%
space = spaces.finite([-2.0, 0.0, 3.0], name="mine")
ring = [[i, (i + 1) % 5] for i in range(5)]
forbidden = np.where(np.eye(3) > 0, np.inf, 0.0)
mine = Hamiltonian(
    {
        "triple": Sites(0.05, [[0, 1, 2], [2, 3, 4]]),
        "square": Sites(0.1, [[i, i] for i in range(5)]),
        "differ": Potential(np.broadcast_to(forbidden, (5, 3, 3)), ring),
    },
    space=space,
    shape=(5,),
)
every = np.stack(np.meshgrid(*[[-2.0, 0.0, 3.0]] * 5, indexing="ij"), -1).reshape(-1, 5)
energies = np.array([float(mine(x)) for x in every])
exact = np.log(np.sum(np.exp(-energies)))
print(estimators.Auto()(mine), "by hand", exact)
assert np.isclose(float(estimators.Auto()(mine).log_z), exact)

# %% [markdown]
# It is saved whole and read back, and a report says what it is.

# %%
kept = folder / "mine.npz"
files.save(kept, mine)
again = files.load(kept)
assert float(again(every[5])) == float(mine(every[5]))
seen = report.identify(again)
print(seen.symmetries, seen.degree)
methods = {"enumeration": estimators.Enumeration(), "contraction": estimators.Contraction()}
found = estimators.Compare(methods)(again, key=jax.random.key(1))
print(found)
