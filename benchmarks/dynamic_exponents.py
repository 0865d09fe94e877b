r"""Dynamic exponents of the square lattice Ising model at its critical point, measured and drawn.

Critical slowing down: the autocorrelation time of an L x L torus grows as tau = a L^z. Here tau is
the *integrated* time of the energy and of m^2, in sweeps, from L = 16 to 128, for

    Metropolis       by colours, 32 replicas in a word (``PackedIsing``); one sweep: N attempts
    Swendsen-Wang    one sweep: all clusters
    Wolff            times <cluster size> / N, since one sweep is N flipped spins

tau = n stderr^2 / (2 v) from block means (``sampling.Series``), with the error of Sokal's window
(``statistics.autocorrelation_time``); z by a weighted straight line through log tau and log L. An
integrated time mixes the modes to which an observable couples, so that z of a fit over these sizes
is an effective one. Under Metropolis m itself is measured too: it couples almost only to the
slowest mode, of which M. P. Nightingale and H. W. J. Bloete, Phys. Rev. Lett. 76, 4548 (1996) found
z = 2.1665(12). A time is given where a chain is at least ``LEAST`` of it long. Exponents between
neighbouring sizes are given too: they show how far a straight line is from being the truth.

    python benchmarks/dynamic_exponents.py            # measure, write the numbers, draw
    python benchmarks/dynamic_exponents.py --draw     # draw the numbers that were written
"""

import functools
import json
import math
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from physdl import lattices, models, reference, sampling, statistics
from physdl.sampling import PackedIsing, Series

HERE = Path(__file__).parent
NUMBERS = HERE / "dynamic_exponents.json"
PICTURE = HERE.parent / "docs" / "images" / "dynamic_exponents.png"
SIZES = (16, 32, 64, 128)
OBSERVABLES = ("energy", "m2", "m")
LEAST = 400

# (measurements, measurements in a block, sweeps between measurements) of each chain
METROPOLIS = {
    16: (2**19, 8, 1),
    32: (2**19, 16, 2),
    64: (5 * 2**17, 32, 4),
    128: (2**18, 64, 4),
}
CLUSTERS = {16: 2**16, 32: 2**15, 64: 2**15, 128: 2**14}
N_CHAINS = 8


def critical(size):
    """The Ising model of an L x L torus at its critical coupling."""
    return models.ising(lattices.square(size, size), reference.square_critical_coupling())


@functools.partial(jax.jit, static_argnames=("n_blocks", "block"))
def recorded(kernel, h, state, key, *, n_blocks, block):
    """Block means and mean squares of (E, m^2, m), [n_blocks, 3, n_chains], and the cluster sizes.

    The state is that of ``PackedIsing``, or an array of configurations.
    """
    packed = isinstance(kernel, PackedIsing)

    def draw(carry, key):
        state, sums = carry
        if packed:
            state, _ = kernel(h, state, key=key)
            energy, m = kernel.energy(h, state), kernel.magnetisation(h, state) / h.n_sites
            size = jnp.zeros_like(energy)
        else:
            keys = jax.random.split(key, len(state))
            state, info = jax.vmap(lambda x, k: kernel(h, x, key=k))(state, keys)
            energy, m = jax.vmap(h)(state), jnp.mean(state, axis=(1, 2))
            size = info.get("cluster_size", jnp.zeros_like(energy))
        x = jnp.stack([energy, m**2, m])
        return (state, jax.tree.map(jnp.add, sums, (x, x**2, size))), None

    def one_block(state, key):
        n = kernel.n_replicas if packed else len(state)
        zero = (jnp.zeros((3, n)), jnp.zeros((3, n)), jnp.zeros(n))
        (state, sums), _ = jax.lax.scan(draw, (state, zero), jax.random.split(key, block))
        return state, jax.tree.map(lambda s: s / block, sums)

    return jax.lax.scan(one_block, state, jax.random.split(key, n_blocks))


def measured(kernel, h, state, *, n, block, thin, n_warmup, key):
    """name -> (tau, stderr), in calls times ``thin``; and the mean cluster size."""
    warm, own = jax.random.split(key)
    packed = isinstance(kernel, PackedIsing)
    state, _ = recorded(kernel, h, state, warm, n_blocks=max(1, n_warmup // block), block=block)
    _, (means, squares, sizes) = recorded(kernel, h, state, own, n_blocks=n // block, block=block)
    found = {}
    for i, name in enumerate(OBSERVABLES if packed else OBSERVABLES[:2]):
        series = Series(means[:, i].T, squares[:, i].T, block=block, thin=thin)
        of_blocks = statistics.autocorrelation_time(series.blocks)
        tau = float(series.tau)
        if n * thin < LEAST * tau:
            continue
        found[name] = (tau, tau * float(of_blocks.stderr / of_blocks.value))
    return found, float(jnp.mean(sizes))


def metropolis(size, key):
    """Times of the Metropolis rule, in sweeps."""
    n, block, thin = METROPOLIS[size]
    h, kernel = critical(size), PackedIsing(n_sweeps=thin)
    state = kernel.init(h, jnp.ones((kernel.n_replicas, size, size)))
    found, _ = measured(
        kernel, h, state, n=n, block=block, thin=thin, n_warmup=max(n // 16, block), key=key
    )
    return found, {"n_chains": kernel.n_replicas, "sweeps_per_chain": n * thin}


def clusters(kernel, size, key):
    """Times of a cluster move, in sweeps."""
    n, h = CLUSTERS[size], critical(size)
    state = jnp.ones((N_CHAINS, size, size))
    found, share = measured(kernel, h, state, n=n, block=1, thin=1, n_warmup=512, key=key)
    extra = {"n_chains": N_CHAINS, "calls_per_chain": n}
    if isinstance(kernel, sampling.Wolff):
        extra |= {"mean_cluster_share": share, "tau_in_calls": {k: v[0] for k, v in found.items()}}
        found = {name: (tau * share, error * share) for name, (tau, error) in found.items()}
    return found, extra


def line(sizes, tau, error):
    """z and log a of tau = a L^z, the error of z, chi-square and degrees of freedom."""
    x, y = np.log(sizes), np.log(tau)
    weight = np.array(tau) / np.array(error)
    (z, a), covariance = np.polyfit(x, y, 1, w=weight, cov="unscaled")
    chi2 = float(np.sum((weight * (y - z * x - a)) ** 2))
    return {
        "z": float(z),
        "stderr": float(np.sqrt(covariance[0, 0])),
        "log_a": float(a),
        "chi2": chi2,
        "dof": len(sizes) - 2,
    }


def measure():
    """All times, and the exponents from all sizes and from the upper three."""
    moves = {
        "Metropolis": metropolis,
        "Swendsen-Wang": functools.partial(clusters, sampling.SwendsenWang()),
        "Wolff": functools.partial(clusters, sampling.Wolff()),
    }
    rows = []
    for number, (name, move) in enumerate(moves.items()):
        for size in SIZES:
            began = time.monotonic()
            found, extra = move(size, jax.random.key(1000 * number + size))
            seconds = round(time.monotonic() - began, 1)
            tau = {k: {"tau": t, "stderr": e} for k, (t, e) in found.items()}
            rows.append({"kernel": name, "L": size, **tau, **extra, "seconds": seconds})
            print(rows[-1], flush=True)
    return {"unit": "sweeps", "rows": rows, "exponents": exponents(rows)}


def exponents(rows):
    """Fits of every kernel and observable from L = 16 and from L = 32, and for pairs of sizes."""
    fits = []
    for kernel in dict.fromkeys(row["kernel"] for row in rows):
        for name in OBSERVABLES:
            own = [row for row in rows if row["kernel"] == kernel and name in row]
            n = len(own)
            ranges = [(0, n), (1, n)] + [(i, i + 2) for i in range(n - 1)]
            for first, last in dict.fromkeys(r for r in ranges if r[1] - r[0] > 1):
                sizes = [row["L"] for row in own[first:last]]
                tau, error = ([r[name][k] for r in own[first:last]] for k in ("tau", "stderr"))
                fit = line(sizes, tau, error)
                fits.append({"kernel": kernel, "observable": name, "sizes": sizes, **fit})
    return fits


def table(data):
    """The numbers as text."""
    lines = ["kernel          L    tau(energy)          tau(m^2)             tau(m)"]
    for row in data["rows"]:
        own = [row[n] for n in OBSERVABLES if n in row]
        times = "  ".join(f"{x['tau']:9.3f} +- {x['stderr']:6.3f}" for x in own)
        lines.append(f"{row['kernel']:14s}{row['L']:4d}  {times}")
    fits = [
        f"{fit['kernel']:14s} {fit['observable']:7s} L = {fit['sizes'][0]:3d} .. "
        f"{fit['sizes'][-1]:3d}  "
        f"z = {fit['z']:.3f} +- {fit['stderr']:.3f}   chi2 {fit['chi2']:.1f}/{fit['dof']}"
        for fit in data["exponents"]
    ]
    return "\n".join(lines + fits)


def draw(data):
    """The log-log plot."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    style = {
        ("Metropolis", "m"): ("C3", "D", "C3", ":"),
        ("Metropolis", "m2"): ("C3", "o", "C3", "-"),
        ("Metropolis", "energy"): ("C3", "o", "white", "--"),
        ("Swendsen-Wang", "energy"): ("C0", "s", "white", "--"),
        ("Swendsen-Wang", "m2"): ("C0", "s", "C0", "-"),
        ("Wolff", "energy"): ("C2", "^", "white", "--"),
        ("Wolff", "m2"): ("C2", "^", "C2", "-"),
    }
    symbol = {"m": "$m$", "m2": "$m^2$", "energy": "$E$"}
    above = [fit for fit in data["exponents"] if fit["sizes"][0] == SIZES[1]]
    longest = {(f["kernel"], f["observable"]): f for f in sorted(above, key=lambda f: f["dof"])}
    fig, ax = plt.subplots(figsize=(7.6, 4.2), dpi=100)
    for (kernel, name), (colour, marker, face, dash) in style.items():
        fit = longest[kernel, name]
        rows = [row for row in data["rows"] if row["kernel"] == kernel and name in row]
        sizes = [row["L"] for row in rows]
        tau, error = ([row[name][k] for row in rows] for k in ("tau", "stderr"))
        x = np.geomspace(0.93 * sizes[0], 1.08 * sizes[-1], 2)
        text = f"{kernel}, {symbol[name]}:\n$z$ = {fit['z']:.3f} $\\pm$ {fit['stderr']:.3f}"
        ax.plot(x, math.exp(fit["log_a"]) * x ** fit["z"], dash, color=colour, lw=1)
        ax.errorbar(sizes, tau, error, fmt=marker, color=colour, mfc=face, ms=6, label=text)
    ax.set(xscale="log", yscale="log", xlabel="$L$")
    ax.set_ylabel("integrated autocorrelation time / sweeps")
    ax.set_xticks(SIZES, [str(size) for size in SIZES])
    ax.minorticks_off()
    ax.set_title("2D Ising model at its critical point; lines: fits from $L$ = 32", fontsize=10)
    ax.grid(alpha=0.25)
    ax.legend(fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
    fig.tight_layout()
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    fig.savefig(PICTURE)


def main():
    if "--draw" in sys.argv[1:]:
        data = json.loads(NUMBERS.read_text())
        data["exponents"] = exponents(data["rows"])
    else:
        jax.config.update("jax_enable_x64", True)
        began = time.monotonic()
        data = measure()
        data["seconds"] = round(time.monotonic() - began, 1)
    NUMBERS.write_text(json.dumps(data, indent=1) + "\n")
    print(table(data))
    draw(data)


if __name__ == "__main__":
    main()
