"""A variational autoregressive network, with torch: pytest benchmarks/test_autoregressive.py

The frontier network of the critical Ising model on a 16 x 16 torus, 64 neurons, batches of 128 in
single precision on one core: draws, REINFORCE, an update of Adam. The peer is the same network with
the same shared weights in plain torch: draws site by site without gradients, then all conditionals
in parallel. It goes on from round to round, where physdl begins anew. Rounds of both alternate.
Set ``PHYSDL_RBMS_PYTHON`` to an interpreter with torch.
"""

import os
import statistics

import jax
import numpy as np
import optax
import pytest
from rounds import in_turn, measured, peer, ratio

from physdl import lattices, learning, models, networks
from physdl.networks.autoregressive.frontier_network import _slots

L, WIDTH, BATCH, N_STEPS, N_ROUNDS, COUPLING = 16, 64, 128, 10, 7, 0.4406867935097715

PEER = """
import sys, time
import numpy as np, torch
torch.set_num_threads(1)
given = {k: torch.from_numpy(v) for k, v in np.load(sys.argv[1]).items()}
sites, slots, bonds = given["sites"], given["slots"], given["bonds"]
n, most = sites.shape
batch, width, n_steps, coupling = map(float, sys.argv[2:])
batch, width, n_steps = int(batch), int(width), int(n_steps)
n_slots = int(slots.max()) + 1
p = {
    "first": torch.randn(n_slots, width) / most**0.5,
    "linear": torch.zeros(n_slots),
    "last": torch.zeros(width),
    "hidden_bias": torch.zeros(n, width),
    "bias": torch.zeros(n),
}
for a in p.values():
    a.requires_grad_()
adam = torch.optim.Adam(p.values(), 1e-3)
a, b = bonds.min(1).values, bonds.max(1).values
pairs = torch.zeros(n, n)
pairs.index_put_((b, a), torch.full((len(a),), 2 * coupling), accumulate=True)

def logits(seen, x, first, linear, hidden_bias, bias, row):
    hidden = torch.tanh(seen @ first + hidden_bias)
    return hidden @ p["last"] + seen @ linear + bias + x @ row

def step():
    first, linear = p["first"][slots], p["linear"][slots]
    x = torch.zeros(batch, n + 1)
    with torch.no_grad():
        for i in range(n):
            z = logits(x[:, sites[i]], x[:, :n], first[i], linear[i], p["hidden_bias"][i],
                       p["bias"][i], pairs[i])
            x[:, i] = 2 * torch.bernoulli(torch.sigmoid(z)) - 1
    seen, spins = x[:, sites].transpose(0, 1), x[:, :n]
    hidden = torch.tanh(torch.bmm(seen, first) + p["hidden_bias"][:, None])
    z = (hidden @ p["last"] + torch.bmm(seen, linear[:, :, None])[..., 0]).T + p["bias"]
    log_q = torch.nn.functional.logsigmoid((z + spins @ pairs.T) * spins)
    cost = log_q.detach() - spins * (spins @ pairs.T) / 2
    to_come = cost.flip(1).cumsum(1).flip(1)
    loss = (log_q * (to_come - to_come.mean(0))).sum() / (batch - 1)
    adam.zero_grad()
    loss.backward()
    adam.step()
    return cost.sum(1).mean()

for line in sys.stdin:
    start, cpu = time.perf_counter(), time.process_time()
    value = [step() for _ in range(n_steps)][-1]
    print("ran", time.perf_counter() - start, time.process_time() - cpu, float(value), flush=True)
"""


pytestmark = pytest.mark.usefixtures("as_a_user")


def runs():
    h = models.ising(lattices.square(L, L), COUPLING)
    q = networks.frontier(h, widths=(WIDTH,), key=jax.random.key(0))
    keys = iter(jax.random.split(jax.random.key(1), 1000))
    adam = optax.adam(1e-3)
    trained = lambda: learning.minimise_free_energy(
        q, h, optimizer=adam, n_steps=N_STEPS, batch_size=BATCH, key=next(keys)
    )
    return h, trained


def test_step(benchmark):
    """Rounds of ten steps of both in turn; medians in wall and CPU time of one step."""
    h, trained = runs()
    sites, slots = _slots(h, shared=True)
    bonds = lattices.square(L, L).bonds.array.astype(np.int64)
    python = os.environ.get("PHYSDL_RBMS_PYTHON")
    programs = {"physdl": lambda: measured(trained, lambda out: float(out.losses[-1]))}
    settings = (BATCH, WIDTH, N_STEPS, COUPLING)
    with peer(python, PEER, *settings, sites=sites, slots=slots, bonds=bonds) as torch:
        if torch is not None:
            programs["torch"] = torch
        seen = in_turn(programs, N_ROUNDS)
    for name, samples in seen.items():
        wall, cpu, value = (statistics.median(column) for column in zip(*samples, strict=True))
        benchmark.extra_info[name] = {
            "wall_ms": 1e3 * wall / N_STEPS,
            "cpu_ms": 1e3 * cpu / N_STEPS,
            "free_energy": value,
        }
    if "torch" in seen:
        for column, kind in enumerate(("wall", "cpu")):
            benchmark.extra_info[f"times_faster_{kind}"] = ratio(seen, "torch", "physdl", column)
    benchmark(lambda: jax.block_until_ready(trained()))
