r"""The experiment of Mehta and Schwab, with the control it lacked and a number for its exactness.

P. Mehta and D. J. Schwab (arXiv:1410.3831) trained a stack of restricted Boltzmann machines, 1600 -
400 - 100 - 25 units, on Ising configurations of 40 x 40 spins at K = 0.408, by contrastive
divergence with an L1 penalty of 2e-4 on the weights, and saw receptive fields that are blocks of
spins, growing from level to level. Here the same is trained on spins -1 and +1 with their penalty,
with more, and with none, and measured are

    participation   (sum_i r_i^2)^2 / sum_i r_i^4, the sites a unit looks at, per level
    spread          root mean square distance of r_i^2 from its centre on the torus
    gap             KL(P_(l-1) || p_l) in nats, the Jensen gap of the trace condition: zero for an
                    exact step (``audit.jensen_gap_of_log_z``; log Z of the lattice by Kaufman, of
                    machines by annealed importance sampling, from below)
    nothing         the gap of a machine of the first level with no weights, for comparison

    python benchmarks/mehta_schwab.py              # 20,000 samples, 100 epochs, all penalties
    python benchmarks/mehta_schwab.py 2e-3 1e-2    # these penalties, beside what was written
    python benchmarks/mehta_schwab.py --quick      # 16 x 16, for a look at what it does
    python benchmarks/mehta_schwab.py --draw       # draw the numbers that were written
"""

import json
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax

from physdl import lattices, learning, models, networks, reference, sampling
from physdl.estimators import AIS, Estimate
from physdl.spaces import SPIN
from physdl.theory import audit

HERE = Path(__file__).parent
NUMBERS = HERE / "mehta_schwab.json"
IMAGES = HERE.parent / "docs" / "images"
COUPLING = 0.408
PENALTIES = ("1e-2", "2e-3", "2e-4", "0")
SHOWN = 8

FULL = dict(side=40, sizes=(400, 100, 25), n_samples=20_000, n_epochs=100, n_walkers=300)
QUICK = dict(side=16, sizes=(64, 16, 4), n_samples=4000, n_epochs=40, n_walkers=100)


def configurations(h, n, key):
    """Independent enough: 100 chains of clusters, five sweeps apart."""
    run = sampling.run(
        sampling.SwendsenWang(),
        h,
        key=key,
        n_sweeps=n // 100 * 5,
        n_chains=100,
        n_warmup=100,
        n_kept=n // 100,
        observables={},
    )
    return run.ensemble


def trained(x, sizes, l1, n_epochs, key):
    """Momentum as in the code of Hinton and Salakhutdinov, in epochs of batches of 100."""
    steps = len(x) // 100 * n_epochs
    rate = optax.cosine_decay_schedule(0.02, steps, alpha=0.05)
    return learning.train_stack(
        x,
        sizes,
        visible=SPIN,
        hidden=SPIN,
        method=learning.CD(1),
        optimizer=optax.sgd(rate, momentum=0.9),
        n_steps=steps,
        batch_size=100,
        l1=l1,
        centred=False,
        key=key,
    )


def spreads(fields, side):
    """Root mean square distance of r^2 from its centre, of every unit, on the torus."""
    weights = np.asarray(fields).T.reshape(-1, side, side) ** 2
    weights = weights / weights.sum(axis=(1, 2), keepdims=True)
    turn = np.exp(2j * np.pi * np.arange(side) / side)
    square = 0.0
    for axis in (1, 2):
        marginal = weights.sum(axis=3 - axis)
        centre = np.angle(marginal @ turn) * side / (2 * np.pi)
        off = (np.arange(side)[None] - centre[:, None] + side / 2) % side - side / 2
        square = square + np.sum(marginal * off**2, axis=1)
    return np.sqrt(square)


def gaps(stack, h, ensemble, log_z, n_walkers, key):
    """The Jensen gap of every step; the level below the first is the lattice."""
    found, energy, skipped = [], h, 0
    for machine, level_key in zip(
        stack.machines, jax.random.split(key, len(stack.machines)), strict=True
    ):
        estimate = AIS(n_chains=n_walkers)(machine.hamiltonian, key=level_key)
        r = audit.machine_trace(machine, energy)
        below = (lambda x, r=r, n=skipped: r(x[n:])) if skipped else r
        gap = audit.jensen_gap_of_log_z(below, ensemble, log_z=log_z, log_z_coarse=estimate)
        found.append((float(gap.value), float(gap.stderr)))
        ensemble, log_z, skipped = estimate.ensemble, estimate, machine.n_visible
        energy = machine.hidden_free_energy
    return found


def exact(side):
    """log Z of the torus as an estimate."""
    log_z = reference.kaufman_log_z(side, side, COUPLING)
    zero, ok = jnp.zeros_like(log_z), jnp.asarray(0, jnp.int32)
    return Estimate(log_z, zero, log_z, log_z, ok, {}, method="Kaufman", n_sites=side**2)


def measure(penalties, side, sizes, n_samples, n_epochs, n_walkers):
    h = models.ising(lattices.square(side, side), COUPLING)
    sample_key, train_key, gap_key, fresh_key = jax.random.split(jax.random.key(0), 4)
    x = configurations(h, n_samples, sample_key).states.reshape(-1, side, side)
    fresh, log_z = configurations(h, n_samples // 4, fresh_key), exact(side)
    entropy = float(log_z.log_z) + float(fresh.expectation(h).value)
    nothing = side**2 * np.log(2) - entropy
    written = {"sizes": [side**2, *sizes], "nothing": nothing, "runs": {}}
    print(f"no weights: {nothing:.2f} nats", flush=True)
    for penalty in penalties:
        began = time.perf_counter()
        found = trained(x, sizes, float(penalty), n_epochs, train_key)
        fields = found.stack.receptive_fields
        written["runs"][penalty] = row = {
            "participation": [rounded(networks.participation(f)) for f in fields],
            "spread": [rounded(spreads(f, side)) for f in fields],
            "gap": gaps(found.stack, h, fresh, log_z, n_walkers, gap_key),
            "status": [int(t.status) for t in found.trainings],
            "fields": [[percent(column) for column in f[:, :SHOWN].T] for f in fields],
            "seconds": round(time.perf_counter() - began),
        }
        print(penalty, told(row), flush=True)
    return written


def rounded(values):
    return np.asarray(values, float).round(2).tolist()


def percent(field):
    """Of the largest weight, in whole numbers."""
    field = np.asarray(field)
    return np.rint(100 * field / np.abs(field).max()).astype(int).tolist()


def told(row):
    parts = [
        f"{key} " + ", ".join(f"{np.median(level):.1f}" for level in row[key])
        for key in ("participation", "spread")
    ]
    parts.append("gap " + ", ".join(f"{v:.2f}({e:.2f})" for v, e in row["gap"]))
    return "; ".join(parts) + f"; {row['seconds']} s"


def draw(written):
    import matplotlib.pyplot as plt

    side = round(written["sizes"][0] ** 0.5)
    runs = {f"L1 = {p}": written["runs"][p] for p in PENALTIES if p in written["runs"]}
    n_levels = len(written["sizes"]) - 1
    figure, axes = plt.subplots(
        n_levels * len(runs),
        SHOWN,
        figsize=(SHOWN, 1.06 * n_levels * len(runs)),
        layout="constrained",
    )
    for i, (name, row) in enumerate(runs.items()):
        for level, fields in enumerate(row["fields"]):
            for field, ax in zip(fields, axes[i * n_levels + level], strict=False):
                size = np.abs(field).max()
                ax.imshow(np.reshape(field, (side, side)), cmap="RdBu", vmin=-size, vmax=size)
            for ax in axes[i * n_levels + level]:
                ax.set(xticks=[], yticks=[], frame_on=False)
            axes[i * n_levels + level, 0].set_ylabel(f"{name}\nlevel {level + 1}", fontsize=7)
    figure.savefig(IMAGES / "receptive_fields.png", dpi=130)
    figure, (left, right) = plt.subplots(1, 2, figsize=(8, 3.4), layout="constrained")
    levels = np.arange(1, n_levels + 1)
    for name, row in runs.items():
        quartiles = np.array([np.percentile(p, [25, 50, 75]) for p in row["participation"]])
        errors = np.abs(quartiles[:, [0, 2]] - quartiles[:, [1]]).T
        left.errorbar(levels, quartiles[:, 1], errors, fmt="o-", capsize=3, label=name)
        right.plot(levels, [v for v, _ in row["gap"]], "o-", label=name)
    right.axhline(written["nothing"], color="grey", ls=":", label="level 1 with no weights")
    left.set(xlabel="level", ylabel="sites a unit looks at", yscale="log", xticks=levels)
    right.set(xlabel="level", ylabel="Jensen gap (nats)", yscale="log", xticks=levels)
    left.legend(frameon=False)
    right.legend(frameon=False)
    figure.savefig(IMAGES / "mehta_schwab.png", dpi=130)


def main():
    if "--quick" in sys.argv:
        measure(PENALTIES, **QUICK)
        return
    if "--draw" not in sys.argv:
        measured = measure(sys.argv[1:] or PENALTIES, **FULL)
        known = json.loads(NUMBERS.read_text())["runs"] if NUMBERS.exists() else {}
        written = {**measured, "runs": {**known, **measured["runs"]}}
        NUMBERS.write_text(json.dumps(written) + "\n")
    draw(json.loads(NUMBERS.read_text()))


if __name__ == "__main__":
    main()
