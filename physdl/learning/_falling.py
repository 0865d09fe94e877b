"""The optimiser that methods take where none is given: Adam at a rate that falls to zero."""

import functools

import optax

__all__ = ["falling_adam"]


@functools.cache
def falling_adam(rate: float, n_steps: int) -> optax.GradientTransformation:
    """Adam with a cosine from ``rate`` to zero; one object, so that a loop is compiled once."""
    return optax.adam(optax.cosine_decay_schedule(rate, n_steps))
