"""Where the flow of a Boltzmann machine ends, by a thermometer that is no network.

A machine of 100 spins and 64 hidden units is trained on configurations of 10 x 10 Ising spins at 24
temperatures of a range, and 300 configurations at T = 0.5 go 300 times to its hidden layer and back
(``learning.reconstructions``). The temperature of where they end is the maximum-likelihood reading
of their mean energy (``thermometer.maximum_likelihood``). One seed an entry.

    python benchmarks/boltzmann_flow.py    # prints the table of docs/learning.md; ten minutes
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from physdl import learning, networks, sampling, spaces
from physdl.theory import thermometer

jax.config.update("jax_enable_x64", True)

RANGES = ((0.25, 3.0), (0.25, 6.0), (2.0, 10.0))
UPDATES = (100, 300, 1000, 6000)
METHODS = {"CD(1)": learning.CD(1), "CD(10)": learning.CD(10), "PCD": learning.PCD()}
PER_TEMPERATURE, N_STARTS, N_STEPS = 80, 300, 300
ISING = thermometer.ising_torus(10, 10)


def states(temperatures, key):
    draw = dict(kernel=sampling.SwendsenWang(), n_sweeps=40)
    return thermometer.thermal_states(ISING.h, 1 / temperatures, key=key, **draw).reshape(-1, 100)


@jax.jit
def reading(v):
    energy = jnp.mean(jax.vmap(lambda v: ISING.h(v.reshape(10, 10)))(v))
    return 1 / thermometer.maximum_likelihood(ISING, energy, upper=4.0).beta


def end(data, method, n_updates):
    machine = networks.RBM.initial(
        100, 64, visible=spaces.SPIN, hidden=spaces.SPIN, data=data, key=jax.random.key(1)
    )
    trained = learning.train_boltzmann(
        machine,
        data,
        method=method,
        optimizer=optax.adam(optax.cosine_decay_schedule(3e-3, n_updates)),
        n_steps=n_updates,
        batch_size=64,
        key=jax.random.key(2),
    ).result
    starts = states(jnp.full(N_STARTS, 0.5), jax.random.key(3))
    flow = jax.vmap(
        lambda v, key: learning.reconstructions(trained, v, n_steps=N_STEPS, key=key)[-1]
    )(starts, jax.random.split(jax.random.key(4), N_STARTS))
    return float(reading(flow))


def main():
    for low, high in RANGES:
        temperatures = np.repeat(np.linspace(low, high, 24), PER_TEMPERATURE)
        data = states(jnp.asarray(temperatures), jax.random.key(0))
        print(f"T from {low:g} to {high:g}; mean energy that of T = {float(reading(data)):.2f}")
        for name, method in METHODS.items():
            counts = UPDATES if name == "CD(1)" else UPDATES[-1:]
            ends = [f"{n}: {end(data, method, n):.2f}" for n in counts]
            print(f"  {name:7} {', '.join(ends)}", flush=True)


if __name__ == "__main__":
    main()
