"""Programs measured in rounds, one after the other, so that a busy machine slows all alike."""

import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax
import numpy as np

Sample = tuple[float, ...]  # wall and CPU seconds, then what the program found
Program = Callable[[], Sample]


def measured(run: Callable[[], Any], value: Callable[[Any], float] | None = None) -> Sample:
    """Wall and CPU seconds of one call, and what is to be told of its result."""
    start, cpu = time.perf_counter(), time.process_time()
    out = jax.block_until_ready(run())
    seconds = time.perf_counter() - start, time.process_time() - cpu
    return seconds if value is None else (*seconds, value(out))


def in_turn(programs: Mapping[str, Program], n_rounds: int) -> dict[str, list[Sample]]:
    """Samples of all programs, after a round that is not counted."""
    samples = [{name: run() for name, run in programs.items()} for _ in range(n_rounds + 1)]
    return {name: [s[name] for s in samples[1:]] for name in programs}


def ratio(samples: Mapping[str, list[Sample]], over: str, under: str, column: int) -> float:
    """The median over rounds of the time of one program over that of another."""
    pairs = zip(samples[over], samples[under], strict=True)
    return statistics.median(a[column] / b[column] for a, b in pairs)


@contextmanager
def peer(python: str | None, code: str, *arguments: Any, **arrays: Any) -> Iterator[Program | None]:
    """A program in another environment, started once; None without its interpreter.

    Args:
      python: the interpreter of that environment.
      code: reads ``arrays`` from the npz file ``sys.argv[1]`` and ``arguments`` from the rest, and
        for every line of its input makes a run and prints "ran" and a sample.
    """
    if python is None:
        yield None
        return
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "arrays.npz"
        np.savez(file, **arrays)
        command = [python, "-W", "ignore", "-c", code, str(file), *map(str, arguments)]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:

            def run() -> Sample:
                assert process.stdin is not None and process.stdout is not None
                process.stdin.write("run\n")
                process.stdin.flush()
                line = next(line for line in process.stdout if line.startswith("ran "))
                return tuple(map(float, line.split()[1:]))

            yield run
