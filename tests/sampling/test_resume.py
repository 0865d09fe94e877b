"""Killed at random moments and started again, a run ends bit for bit as an undisturbed one."""

import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

SCRIPT = """
import sys, jax, numpy as np
jax.config.update("jax_enable_x64", True)
from physdl import lattices, models, sampling
h = models.ising(lattices.square(16, 16), 0.4)
more = dict(checkpoint=sys.argv[2], every=int(sys.argv[3])) if len(sys.argv) > 2 else {}
print("ready", flush=True)
out = sampling.run(sampling.Metropolis(), h, key=jax.random.key(3), n_sweeps=%d, n_chains=4,
                   n_warmup=100, n_kept=4, **more)
np.savez(sys.argv[1], *map(np.asarray, jax.tree.leaves(out)))
"""


@pytest.mark.slow
def test_ten_kills(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(SCRIPT % 60_000)
    whole, parts = tmp_path / "whole.npz", tmp_path / "parts.npz"
    began = time.monotonic()
    subprocess.run([sys.executable, script, whole], check=True, capture_output=True)
    length = time.monotonic() - began
    arguments = [sys.executable, script, parts, tmp_path / "checkpoints", "500"]
    rng, kills = random.Random(5), 0
    while not parts.exists():
        with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout.readline() == "ready\n"
            if kills < 10:
                time.sleep(2 + rng.random() * length / 8)
                process.send_signal(signal.SIGKILL)
                kills += process.wait() == -signal.SIGKILL
            else:
                assert process.wait() == 0
        assert not parts.exists() or kills >= 10, "it ended before it was killed ten times"
    with np.load(whole) as a, np.load(parts) as b:
        assert a.files == b.files
        for name in a.files:
            np.testing.assert_array_equal(a[name], b[name])
