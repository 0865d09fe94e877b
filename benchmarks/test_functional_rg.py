"""Wetterich's equation: fixed point and exponents, timed with and without compilation.

pytest benchmarks/test_functional_rg.py. One round of the first is what a fresh interpreter pays for
guess, fixed point and exponents, traced and compiled (the caches are cleared before every round);
``cpu_s`` is its processor time, which a busy machine does not lengthen; the goal is five seconds.
The second is what every further N or d costs once compiled.
"""

import time

import jax
import jax.numpy as jnp
import pytest

from physdl import rg

jax.config.update("jax_enable_x64", True)

SETTINGS = {
    "default": {},
    "about_minimum": {"potential": rg.AboutMinimum()},
    "exponential": {"regulator": rg.Exponential()},
    "lpa_prime": {"anomalous": "goldstone"},
}


def exponents(n, settings):
    frg = rg.FunctionalRG(n, 3.0, **settings)
    return jax.block_until_ready(rg.exponents(frg, rg.fixed_point(frg, frg.guess())).y)


@pytest.mark.parametrize("name", SETTINGS)
def test_first_call(benchmark, name):
    start = time.process_time()
    y = benchmark.pedantic(
        exponents, args=(1.0, SETTINGS[name]), setup=jax.clear_caches, rounds=3, iterations=1
    )
    seconds = (time.process_time() - start) / 3
    benchmark.extra_info["cpu_s"] = seconds
    benchmark.extra_info["nu"] = float(1 / y[0])
    benchmark.extra_info["omega"] = float(-y[1])


@pytest.mark.parametrize("name", SETTINGS)
def test_next_call(benchmark, name):
    exponents(1.0, SETTINGS[name])
    ns = iter(jnp.linspace(1.5, 3.0, 32).tolist())
    benchmark.pedantic(lambda: exponents(next(ns), SETTINGS[name]), rounds=20, iterations=1)
