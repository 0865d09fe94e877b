"""A training step of an RBM, with rbms as peer: pytest benchmarks/test_boltzmann.py

Persistent contrastive divergence of a machine of 784 x 500 units: batches of 500 samples, 500
chains, one sweep of both layers a step, centred gradients, in float32 on all cores. The peer makes
the same step: its chains, a sweep, its centred gradient, its stochastic gradient descent. What
bounds any such step are products of [500, 784] x [784, 500] matrices and their transposes, six of
them: two for a sweep, one for the hidden means of the batch and of the chains each, one for each of
their gradients; they are timed as a row of their own. Rounds alternate, so that a busy machine
slows all.

``rbms`` (and with it torch) lives in an environment of its own: set ``PHYSDL_RBMS_PYTHON`` to its
interpreter.
"""

import os
import statistics

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from rounds import in_turn, measured, peer, ratio

from physdl import learning, networks

N_VISIBLE, N_HIDDEN, N_CHAINS, N_SAMPLES, N_STEPS, N_ROUNDS = 784, 500, 500, 2000, 20, 5

PEER = """
import sys, time, types
import numpy as np, torch
from rbms.bernoulli_bernoulli.classes import BBRBM
from rbms.training.pcd import fit_batch_pcd
n_cores, n_visible, n_hidden, n_chains, n_samples, n_steps = map(int, sys.argv[2:])
torch.set_num_threads(n_cores)
torch.manual_seed(0)
data = (torch.rand(n_samples, n_visible) < 0.3).float()
machine = BBRBM.init_parameters(n_hidden, types.SimpleNamespace(data=data), "cpu", torch.float32)
for p in machine.parameters():
    p.grad = torch.zeros_like(p)
optimizer = torch.optim.SGD(machine.parameters(), lr=0.01, maximize=True)
chains = machine.init_chains(n_chains)
weights = torch.ones(n_chains)
for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    for _ in range(n_steps):
        optimizer.zero_grad(set_to_none=False)
        batch = data[torch.randint(n_samples, (n_chains,))]
        chains, _ = fit_batch_pcd((batch, weights), chains, machine, 1, 1.0, True)
        optimizer.step()
    print("ran", time.perf_counter() - start, time.process_time() - cpu, flush=True)
"""


pytestmark = pytest.mark.usefixtures("as_a_user")


def runs():
    """The steps of a training, and the products that bound them."""
    data = np.asarray(np.random.default_rng(0).random((N_SAMPLES, N_VISIBLE)) < 0.3, np.float32)
    machine = networks.RBM.initial(N_VISIBLE, N_HIDDEN, data=data, key=jax.random.key(0))
    phase = learning.PCD(n_chains=N_CHAINS)
    objective = learning.contrastive_objective(data, phase, batch_size=N_CHAINS, centred=True)
    state = objective.start(machine, key=jax.random.key(1))
    optimizer = optax.sgd(0.01)
    keys = iter(jax.random.split(jax.random.key(2), 1000))

    def train():
        return learning.train(
            objective,
            machine,
            optimizer=optimizer,
            n_steps=N_STEPS,
            key=next(keys),
            state=state,
            surrogate=True,
        ).result

    @jax.jit
    def products(v, weights):
        def step(_, carry):
            v, w = carry
            for _ in range(2):
                h = v @ w
                v = 1e-3 * (h @ w.T)
                w = w + 1e-6 * (v.T @ h)
            return v, w

        return jax.lax.fori_loop(0, N_STEPS, step, (v, weights))

    v = jnp.asarray(data[:N_CHAINS])
    return train, lambda: products(v, machine.weights)


def test_persistent_contrastive_divergence(benchmark):
    """Rounds of the bound, the training and the peer in turn; seconds are those of one step."""
    train, products = runs()
    sizes = (len(os.sched_getaffinity(0)), N_VISIBLE, N_HIDDEN, N_CHAINS, N_SAMPLES, N_STEPS)
    programs = {"bound": lambda: measured(products), "physdl": lambda: measured(train)}
    with peer(os.environ.get("PHYSDL_RBMS_PYTHON"), PEER, *sizes) as rbms:
        if rbms is not None:
            programs["rbms"] = rbms
        seen = in_turn(programs, N_ROUNDS)
    for column, kind in enumerate(("wall", "cpu")):
        for name, samples in seen.items():
            seconds = statistics.median(s[column] for s in samples)
            benchmark.extra_info[f"{name}_{kind}_s"] = seconds / N_STEPS
        benchmark.extra_info[f"share_of_bound_{kind}"] = ratio(seen, "bound", "physdl", column)
        if "rbms" in seen:
            benchmark.extra_info[f"times_faster_{kind}"] = ratio(seen, "rbms", "physdl", column)
    benchmark(lambda: jax.block_until_ready(train()))
