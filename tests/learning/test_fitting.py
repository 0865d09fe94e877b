import io
import signal
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rich.console

from physdl.errors import CheckpointError, PhysdlError, SettingError, ShapeError, StructureError
from physdl.learning import TrainingStatus, fit, train
from physdl.pytree import module, static

KEY = jax.random.key(3)
ADAM = optax.adam(0.03)


@module
class Misfit:
    """|p - target|^2 with noise, and a walk that is handed on in the state."""

    target: jax.Array
    walks: bool = static(default=False)

    def __call__(self, p, *state_and_key):
        key = state_and_key[-1]
        noise = 0.1 * jax.random.normal(key, p.shape)
        if not self.walks:
            return jnp.sum((p - self.target + noise) ** 2)
        (x, walk_key), _ = state_and_key
        walk_key, step_key = jax.random.split(walk_key)
        x = 0.9 * x + jax.random.normal(step_key, x.shape)
        return jnp.sum((p - self.target + 0.1 * x) ** 2), (x, walk_key)


def run(objective=None, *, optimizer=ADAM, n_steps=200, key=KEY, start=None, **more):
    objective = Misfit(jnp.array([1.0, -2.0])) if objective is None else objective
    start = jnp.zeros(2) if start is None else start
    return fit(objective, start, optimizer=optimizer, n_steps=n_steps, key=key, **more)


def walking():
    state = (jnp.zeros(2), jax.random.key(7))
    return {"objective": Misfit(jnp.array([1.0, -2.0]), walks=True), "state": state}


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
            x, y = jax.random.key_data(x), jax.random.key_data(y)
        np.testing.assert_array_equal(x, y)


class TestAgainstTheScan:
    def test_the_same_steps(self):
        found = run()
        scan = train(
            Misfit(jnp.array([1.0, -2.0])), jnp.zeros(2), optimizer=ADAM, n_steps=200, key=KEY
        )
        np.testing.assert_allclose(found.result, scan.result, rtol=1e-12)
        np.testing.assert_allclose(found.losses, scan.losses, rtol=1e-10)
        assert int(found.status) == int(scan.status) == TrainingStatus.OK

    def test_the_same_state(self):
        more = walking()
        found = run(**more)
        scan = train(
            more["objective"],
            jnp.zeros(2),
            optimizer=ADAM,
            n_steps=200,
            key=KEY,
            state=more["state"],
        )
        np.testing.assert_allclose(found.state[0], scan.state[0], rtol=1e-12)
        same(found.state[1], scan.state[1])

    def test_the_walk_is_that_of_the_recursion(self):
        """x <- 0.9 x + z with the keys of the state, step by step in numpy."""
        found = run(**walking(), n_steps=7)
        x, key = np.zeros(2), jax.random.key(7)
        for _ in range(7):
            key, step_key = jax.random.split(key)
            x = 0.9 * x + np.asarray(jax.random.normal(step_key, (2,)))
        np.testing.assert_allclose(found.state[0], x, rtol=1e-12)


def test_looks_do_not_change_a_bit():
    same(run(every=7).result, run(every=64).result)


def test_an_ensemble_is_as_many_trainings():
    keys = jax.random.split(KEY, 3)
    starts = jnp.arange(6.0).reshape(3, 2)
    together = run(key=keys, start=starts)
    assert together.losses.shape == (3, 200) and together.status.shape == (3,)
    for k in range(3):
        alone = run(key=keys[k], start=starts[k])
        np.testing.assert_allclose(together.result[k], alone.result, rtol=1e-10)
        np.testing.assert_allclose(together.losses[k], alone.losses, rtol=1e-10)


class Polynomial:
    """Degree 11 through 16 noisy points of a line: it overfits."""

    rng = np.random.default_rng(1)
    x, fresh_x = rng.uniform(-1, 1, 16), rng.uniform(-1, 1, 200)
    y, fresh_y = x + 0.4 * rng.normal(size=16), fresh_x + 0.4 * rng.normal(size=200)

    @staticmethod
    def loss(p, key):
        del key
        return jnp.mean((jnp.polyval(p, Polynomial.x) - Polynomial.y) ** 2)

    @staticmethod
    def on_fresh_points(p):
        return jnp.mean((jnp.polyval(p, Polynomial.fresh_x) - Polynomial.fresh_y) ** 2)


OVERFITTING = {
    "objective": Polynomial.loss,
    "start": np.zeros(12),
    "optimizer": optax.adam(0.02),
    "n_steps": 20_000,
    "every": 50,
    "monitor": Polynomial.on_fresh_points,
}


class TestEarlyStopping:
    def test_it_stops_and_gives_the_best(self):
        found = run(**OVERFITTING, patience=6)
        assert len(found.losses) < 20_000 and int(found.status) == TrainingStatus.OK
        seen = np.asarray(found.monitored)
        assert len(seen) == len(found.losses) // 50
        assert int(np.argmin(seen)) == len(seen) - 7, "six looks without a new least one"
        assert float(Polynomial.on_fresh_points(found.result)) == pytest.approx(seen.min())

    def test_without_patience_it_gives_the_last(self):
        found = run(**OVERFITTING | {"n_steps": 2000})
        seen = np.asarray(found.monitored)
        assert float(Polynomial.on_fresh_points(found.result)) == pytest.approx(seen[-1])

    def test_every_run_has_a_best_of_its_own(self):
        starts = np.stack([np.zeros(12), np.full(12, 0.5)])
        found = run(
            **OVERFITTING | {"start": starts, "n_steps": 3000, "key": jax.random.split(KEY, 2)},
            patience=60,
        )
        for k in range(2):
            least = float(jnp.min(found.monitored[k]))
            assert float(Polynomial.on_fresh_points(found.result[k])) == pytest.approx(least)


class TestCheckpoints:
    def test_stopped_by_the_clock_and_taken_up_again(self, tmp_path):
        whole, pieces = run(**walking(), n_steps=60, every=20), 0
        while True:
            found = run(
                **walking(), n_steps=60, every=20, checkpoint=tmp_path / "c", max_seconds=0.05
            )
            pieces += 1
            if int(found.status) != TrainingStatus.UNFINISHED:
                break
            assert pieces < 61
        assert pieces > 1
        same(found, whole)

    @pytest.mark.slow
    def test_killed_and_started_again(self, tmp_path):
        script = tmp_path / "run.py"
        script.write_text(SCRIPT)
        folder, out = tmp_path / "checkpoints", tmp_path / "out.npz"
        arguments = [sys.executable, script, out, folder]
        for _ in range(2):
            before = newest(folder)
            with subprocess.Popen(arguments) as process:
                while newest(folder) < before + 1000 and process.poll() is None:
                    time.sleep(0.02)
                process.send_signal(signal.SIGKILL)
            assert not out.exists(), "it ended before it was killed"
        subprocess.run(arguments, check=True)
        subprocess.run([sys.executable, script, tmp_path / "whole.npz"], check=True)
        with np.load(out) as parts, np.load(tmp_path / "whole.npz") as whole:
            for name in whole.files:
                np.testing.assert_array_equal(parts[name], whole[name])

    @pytest.mark.parametrize(
        "other",
        [
            {"start": jnp.ones(2)},
            {"key": jax.random.key(4)},
            {"n_steps": 30},
            {"objective": Misfit(jnp.array([1.0, -2.5]))},
            {"objective": lambda p, key: jnp.sum((p - jnp.array([1.0, -2.0])) ** 4)},
            {"optimizer": optax.adam(0.02)},
        ],
        ids=["start", "key", "length", "data", "function", "optimizer"],
    )
    def test_of_another_training(self, tmp_path, other):
        run(n_steps=20, checkpoint=tmp_path / "c")
        with pytest.raises(CheckpointError, match="of another"):
            run(**{"n_steps": 20} | other, checkpoint=tmp_path / "c")

    def test_another_folder_is_left_alone(self, tmp_path):
        (tmp_path / "thesis.tex").write_text("precious")
        with pytest.raises(CheckpointError, match="not a folder of checkpoints"):
            run(n_steps=20, checkpoint=tmp_path)
        assert (tmp_path / "thesis.tex").read_text() == "precious"


SCRIPT = """
import sys, jax, numpy as np, optax
import jax.numpy as jnp
jax.config.update("jax_enable_x64", True)
from physdl.learning import fit
def objective(p, chain, key):
    chain = 0.9 * chain + jax.random.normal(key, chain.shape)
    return jnp.sum((p - 1 + 0.1 * chain) ** 2), chain
more = dict(checkpoint=sys.argv[2]) if len(sys.argv) > 2 else {}
found = fit(objective, jnp.zeros(50), optimizer=optax.adam(1e-3), n_steps=200_000, every=1000,
            key=jax.random.key(0), state=jnp.zeros(50), **more)
np.savez(sys.argv[1], *map(np.asarray, jax.tree.leaves(found)))
"""


def newest(folder):
    return max((int(p.name) for p in folder.glob("*") if p.name.isdigit()), default=0)


def test_what_diverges_is_not_pursued():
    found = run(lambda p, key: jnp.sum(p**2), optimizer=optax.sgd(1e3), start=jnp.ones(2))
    assert int(found.status) == TrainingStatus.DIVERGED
    assert bool(jnp.all(jnp.isfinite(found.result)))
    assert len(found.losses) < 200


def test_a_chain_that_is_not_finite_is_not_handed_on():
    def objective(p, chain, key):
        del key
        return jnp.sum(p**2), jnp.log(chain - 1.0)

    found = run(objective, start=jnp.ones(2), state=jnp.asarray(2.0), n_steps=5)
    np.testing.assert_array_equal(found.state, 0.0)
    assert int(found.skipped) == 4


def test_a_surrogate_may_rise():
    def rising(p, key):
        del key
        return -jnp.sum(p) + 2 * jax.lax.stop_gradient(jnp.sum(p))

    assert int(run(rising).status) == TrainingStatus.ROSE
    assert int(run(rising, surrogate=True).status) == TrainingStatus.OK


def test_progress_shows_rate_and_loss_and_changes_nothing(monkeypatch):
    screen, console = io.StringIO(), rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda **_: console(file=screen, force_terminal=True, width=100)
    )
    same(run(progress=True), run())
    for word in ("/s", "loss"):
        assert word in screen.getvalue()


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"n_steps": 0}, SettingError, "n_steps"),
        ({"every": 0}, SettingError, "every"),
        ({"patience": 0}, SettingError, "patience"),
        ({"patience": 3, "surrogate": True}, SettingError, "patience=3 and no monitor"),
        ({"optimizer": "adam"}, SettingError, "optax"),
        ({"key": jax.random.split(KEY, 3)}, ShapeError, r"leading axis, got the shape \(2,\)"),
        ({"monitor": lambda p: p}, ShapeError, r"a monitor is one number.*\(2,\)"),
        ({"start": jnp.arange(2)}, StructureError, "real floating-point arrays, got one of int"),
        ({"start": ()}, StructureError, "nothing to train"),
        (
            {"objective": lambda p, s, key: (jnp.sum(p**2), s[:1]), "state": jnp.ones(2)},
            StructureError,
            "keep structure",
        ),
    ],
)
def test_bad_input(change, error, message):
    with pytest.raises(error, match=message):
        run(**change)


def test_inside_jit_it_names_train():
    with pytest.raises(PhysdlError, match="use train"):
        jax.jit(lambda start: run(start=start).result)(jnp.zeros(2))
