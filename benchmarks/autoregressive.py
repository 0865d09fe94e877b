"""Variational free energies against exact ones: python benchmarks/autoregressive.py [--only NAME]

The Ising model on a 16 x 16 torus at the couplings of D. Wu et al., Phys. Rev. Lett. 122, 080602
(2019), K = 0.1 to 1 and the critical one, and their Sherrington-Kirkpatrick model of 20 spins: the
gap of the variational bound, that of the bound of means of 2048 weights, log Z by importance
sampling, and the time, in single precision on one core (``OMP_NUM_THREADS=1
XLA_FLAGS=--xla_cpu_multi_thread_eigen=false``). The draws at the end are made in double precision.
Writes what was found to ``autoregressive.json``, beside what is there already.
"""

import argparse
import json
import math
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from physdl import estimators, lattices, learning, models, networks, reference
from physdl.estimators import Status
from physdl.hamiltonian import Hamiltonian
from physdl.networks import AutoregressiveNetwork

RESULTS = Path(__file__).parent / "autoregressive.json"
CRITICAL = 0.5 * math.log(1 + math.sqrt(2))
L, N_SPINS, BATCH, RATE, N_STEPS, N_DRAWS = 16, 20, 128, 1e-2, 10_000, 2**17
COUPLINGS = {f"ising K={k:.1f}": k for k in np.arange(1, 11) / 10} | {"ising K=Kc": CRITICAL}
BETAS = {f"SK beta={b:g}": b for b in (0.1, 0.5, 1.0, 2.0, 5.0)}


def seen_from(name: str) -> tuple[Hamiltonian, Any, float]:
    """The model, its network as a function of a key, and its exact log Z."""
    if name in COUPLINGS:
        coupling = COUPLINGS[name]
        h = models.ising(lattices.square(L, L), coupling)
        make = lambda key: networks.frontier(h, widths=(64,), cyclic=True, key=key)
        return h, make, float(reference.kaufman_log_z(L, L, coupling))
    h = models.sherrington_kirkpatrick(N_SPINS, seed=0) * BETAS[name]
    make = lambda key: networks.made(h, widths=(4,), cyclic=True, key=key)
    return h, make, float(estimators.Enumeration()(h).log_z)


def trained(name: str) -> tuple[AutoregressiveNetwork, float, float]:
    """A network after its training, and its seconds on the clock and of the processor.

    Compilation is included.
    """
    h, make, _ = seen_from(name)
    hard = name in COUPLINGS and 0.25 < COUPLINGS[name] < 0.75
    n_steps = N_STEPS
    cold = name in BETAS or COUPLINGS[name] > 0.42
    began, cpu = time.perf_counter(), time.process_time()
    found = learning.minimise_free_energy(
        make(jax.random.key(0)),
        h,
        optimizer=optax.chain(
            optax.clip_by_global_norm(1.0), optax.adam(optax.cosine_decay_schedule(RATE, n_steps))
        ),
        n_steps=n_steps,
        batch_size=BATCH,
        anneal=(0.999 if hard else 0.998) if cold else 0.0,
        key=jax.random.key(1),
    )
    jax.block_until_ready(found)
    return found.result, time.perf_counter() - began, time.process_time() - cpu


def measured(name: str) -> dict[str, Any]:
    """The bound and the estimate of a trained network."""
    jax.config.update("jax_enable_x64", False)
    q, seconds, cpu = trained(name)
    params = jax.tree.map(np.asarray, q.network.params)
    jax.config.update("jax_enable_x64", True)
    h, _, exact = seen_from(name)
    wide = jax.tree.map(lambda a: jnp.asarray(a, jnp.float64), params)
    q = q.with_parts(networks.Network(wide, q.network.graphdef), h)
    began = time.perf_counter()
    out = estimators.Autoregressive(q, n_samples=N_DRAWS)(h, key=jax.random.key(2))
    jax.block_until_ready(out)
    bound = float(out.info["bound"])
    return {
        "n_steps": N_STEPS,
        "log_z": exact,
        "gap": exact - bound,
        "gap_stderr": float(out.info["bound_stderr"]),
        "relative_error": (exact - bound) / abs(exact),
        "importance_gap": exact - float(out.info["importance_bound"]),
        "importance_gap_stderr": float(out.info["importance_bound_stderr"]),
        "lower_relative_error": (exact - float(out.lower)) / abs(exact),
        "sampled_error": float(out.log_z) - exact,
        "sampled_stderr": float(out.stderr),
        "effective_share": float(out.info["effective_sample_size"]) / N_DRAWS,
        "symmetry": float(out.info["symmetry"]),
        "status": Status(int(out.status)).name,
        "training_s": seconds,
        "training_cpu_s": cpu,
        "sampling_s": time.perf_counter() - began,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", help="names, as 'ising K=0.4' or 'SK beta=5'")
    names = parser.parse_args().only or [*COUPLINGS, *BETAS]
    for name in names:
        row = measured(name)
        print(name, {k: v if isinstance(v, str) else float(f"{v:.4g}") for k, v in row.items()})
        results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
        RESULTS.write_text(json.dumps(results | {name: row}, indent=1) + "\n")


if __name__ == "__main__":
    main()
