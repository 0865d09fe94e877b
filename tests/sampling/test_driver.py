"""The driver: what it measures, in which memory, and what it refuses."""

import io
import itertools
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rich.console

from physdl import lattices, models, reference, sampling
from physdl.errors import CheckpointError, PhysdlError, SettingError, ShapeError, StructureError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.sampling import HeatBath, Metropolis, RunStatus, run
from physdl.spaces import BINARY

H = models.ising(lattices.square(4, 4), 0.3)
KEY = jax.random.key(7)


def same(a, b):
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(np.array_equal(np.asarray(x), np.asarray(y), equal_nan=True) for x, y in pairs)


def test_sweeps_and_draws_are_those_of_a_plain_loop():
    """Three chains by hand: keys, warm-up and thinning as documented."""
    out = run(HeatBath(), H, key=KEY, n_sweeps=8, thin=2, n_chains=3, n_warmup=3, n_kept=4,
              observables={"m": jnp.mean})  # fmt: skip
    start_key, sweep_key = jax.random.split(KEY)
    draw_key, _ = jax.random.split(start_key)
    keys = jax.random.split(sweep_key, 3)
    step = jax.jit(lambda x, k: HeatBath()(H, x, key=k)[0])
    for chain, key in enumerate(jax.random.split(draw_key, 3)):
        x, seen = sampling.random_configuration(H, key=key), []
        for t in range(11):
            x = step(x, jax.random.fold_in(keys[chain], t))
            if t >= 3 and (t - 3) % 2 == 1:
                seen.append(x)
        np.testing.assert_array_equal(out.ensemble.states[chain], jnp.stack(seen))
        np.testing.assert_allclose(out["m"].blocks[chain], [s.mean() for s in seen], atol=1e-14)


@pytest.mark.parametrize("kernel", [HeatBath(), Metropolis()], ids=["heat bath", "metropolis"])
def test_energy_and_its_error_against_kaufman(kernel):
    """Sixteen runs: the deviations in standard errors have mean square one."""
    h = models.ising(lattices.square(8, 8), 0.3)
    exact, z = 0.3 * float(reference.kaufman_energy(8, 8, 0.3)), []
    for key in jax.random.split(KEY, 16):
        mean = run(kernel, h, key=key, n_sweeps=600, n_chains=4)["energy"].mean
        z.append(float((mean.value - exact) / mean.stderr))
    assert np.mean(np.square(z)) < 1 + 5 * np.sqrt(2 / 16)
    assert abs(np.mean(z)) < 4 / np.sqrt(16)


def test_long_runs_are_measured_in_blocks():
    out = run(HeatBath(), H, key=KEY, n_sweeps=9000, n_chains=2, observables={"energy": H})
    series = out["energy"]
    assert series.block == 5 and series.blocks.shape == (2, 1800)
    once = run(HeatBath(), H, key=KEY, n_sweeps=2000, n_chains=2, observables={"energy": H})
    assert once["energy"].block == 1
    assert float(series.tau) == pytest.approx(float(once["energy"].tau), rel=0.3)
    assert float(series.r_hat) < 1.01 and out.status is RunStatus.OK


def test_observables_may_have_any_shape():
    out = run(HeatBath(), H, key=KEY, n_sweeps=200, observables={"x": lambda x: x, "pair": lambda x:
              jnp.stack([x[0, 0] * x[0, 1], x[0, 0] * x[2, 2]])})  # fmt: skip
    assert out["x"].mean.value.shape == (4, 4) and out["pair"].tau.shape == (2,)
    assert out["pair"].mean.value[0] > out["pair"].mean.value[1]


def test_functions_of_means_have_errors():
    h = models.ising(lattices.square(8, 8), 0.3)
    out = run(HeatBath(), h, key=KEY, n_sweeps=4000, n_chains=8)
    exact, heat = float(reference.kaufman_specific_heat(8, 8, 0.3)), out["energy"].variance
    assert abs(float(heat.value) - exact) < 4 * float(heat.stderr) < 0.1 * exact


def test_compiled_once_for_equal_settings():
    traced = []

    def counted(x):
        traced.append(x)
        return jnp.mean(x)

    for coupling in (0.2, 0.3):
        h = models.ising(lattices.square(4, 4), coupling)
        run(HeatBath(), h, key=KEY, n_sweeps=10, observables={"m": counted})
        seen = len(traced)
    run(HeatBath(), h, key=KEY, n_sweeps=10, observables={"m": counted})
    assert len(traced) == seen + 1  # the shapes of the measurements, and nothing compiled


def test_disagreeing_chains_are_reported():
    h = models.ising(lattices.square(8, 8), 1.5)
    x = jnp.ones((2, 8, 8)) * jnp.array([1.0, -1.0])[:, None, None]
    out = run(HeatBath(), h, key=KEY, n_sweeps=100, n_chains=2, initial=x,
              observables={"m": jnp.mean})  # fmt: skip
    assert out.status is RunStatus.UNCONVERGED


def test_a_measurement_that_is_no_number_is_reported():
    out = run(HeatBath(), H, key=KEY, n_sweeps=20, observables={"m": lambda x: jnp.log(x[0, 0])})
    assert out.status is RunStatus.NONFINITE


def test_a_run_goes_on_where_time_stopped_it(tmp_path, monkeypatch):
    """The clock is one that passes a little at every look, so that every try does some sweeps."""
    settings = dict(key=KEY, n_sweeps=900, thin=3, n_chains=2, n_kept=7)
    whole, ticks = run(HeatBath(), H, **settings), itertools.count()
    clock = types.SimpleNamespace(monotonic=lambda: 1e-4 * next(ticks))
    monkeypatch.setattr("physdl.sampling.driver.time", clock)
    monkeypatch.setattr("physdl.sampling._chains.time", clock)
    for tries in range(100):  # noqa: B007
        out = run(
            HeatBath(), H, **settings, checkpoint=tmp_path / "c", every=150, max_seconds=0.002
        )
        if out.finished:
            break
        assert out.status is RunStatus.STOPPED and out.ensemble is None
    assert 1 < tries < 99 and same(out, whole)


def test_a_checkpoint_of_another_run_is_left_alone(tmp_path):
    folder = tmp_path / "c"
    settings = dict(key=KEY, n_sweeps=100, n_chains=2)
    whole = run(HeatBath(), H, **settings, checkpoint=folder)
    before = sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    other = models.ising(lattices.square(4, 4), 0.31)
    for kernel, h, changed in (
        (HeatBath(), other, {}),
        (Metropolis(), H, {}),
        (HeatBath(), H, {"key": jax.random.key(8)}),
        (HeatBath(), H, {"n_sweeps": 200}),
        (HeatBath(), H, {"observables": {"e": H}}),
    ):
        with pytest.raises(CheckpointError, match="of another run"):
            run(kernel, h, **{**settings, **changed}, checkpoint=folder)
    assert before == sorted((p.name, p.stat().st_mtime_ns) for p in folder.rglob("*"))
    assert same(run(HeatBath(), H, **settings, checkpoint=folder), whole)


def test_a_folder_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(CheckpointError, match="not a folder of checkpoints"):
        run(HeatBath(), H, key=KEY, n_sweeps=10, checkpoint=tmp_path)
    with pytest.raises(CheckpointError, match="not a folder of checkpoints"):
        run(HeatBath(), H, key=KEY, n_sweeps=10, checkpoint=tmp_path / "thesis.tex")
    assert (tmp_path / "thesis.tex").read_text() == "precious"


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"n_chains": 0}, "n_chains must be an integer >= 1, got 0"),
        ({"n_sweeps": 0}, "n_sweeps must be an integer >= 1, got 0"),
        ({"n_sweeps": 2.5}, "n_sweeps must be an integer >= 1, got 2.5"),
        ({"thin": 0}, "thin must be an integer >= 1"),
        ({"thin": 11}, "give 0 measurements"),
        ({"n_kept": 11}, "too few for n_kept=11"),
        ({"n_warmup": -1}, "n_warmup must be an integer >= 0"),
        ({"every": 0, "checkpoint": "unused"}, "every must be an integer >= 1"),
        ({"n_sweeps": 2**31}, "fewer than 2"),
    ],
)
def test_settings_out_of_range_are_named(settings, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SettingError, match=message):
        run(HeatBath(), H, **{"key": KEY, "n_sweeps": 10, **settings})


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_couplings_that_are_no_numbers_are_named(value):
    with pytest.raises(SettingError, match="'bond' has the coefficient"):
        run(HeatBath(), models.ising(lattices.square(4, 4), value), key=KEY, n_sweeps=10)


def test_constrained_models_need_a_word():
    hard = Potential([[0.0, 0.0], [0.0, np.inf]], lattices.square(4, 4).bonds)
    h = Hamiltonian({"exclusion": hard}, space=BINARY, shape=(4, 4))
    with pytest.raises(StructureError, match="'exclusion' forbids configurations"):
        run(HeatBath(), h, key=KEY, n_sweeps=10)
    out = run(HeatBath(constrained=True), h, key=KEY, n_sweeps=500, initial=jnp.zeros((4, 4)))
    assert float(out["energy"].mean.value) == 0.0  # never a forbidden configuration
    assert out.status is not RunStatus.NONFINITE


def test_initial_configurations_of_another_shape_are_named():
    with pytest.raises(ShapeError, match=r"\(4, 4\) or \(4, 4, 4\), got \(3, 3\)"):
        run(HeatBath(), H, key=KEY, n_sweeps=10, initial=jnp.ones((3, 3)))


def test_traced_coefficients_are_named():
    energy = lambda k: run(HeatBath(), k * H, key=KEY, n_sweeps=10)["energy"].mean.value
    with pytest.raises(PhysdlError, match=r"inside jit, vmap or grad use sampling\.sweeps"):
        jax.jit(energy)(0.3)


def test_sweeps_is_pure():
    batch = jax.vmap(lambda b: b * H)(jnp.array([0.0, 1.0, 8.0]))
    move = lambda h: sampling.sweeps(HeatBath(), h, jnp.ones((4, 4)), key=KEY, n_sweeps=30)
    x, info = jax.jit(jax.vmap(move))(batch)
    assert x.shape == (3, 4, 4) and info["changed"].shape == (3,)
    assert (
        float(info["changed"][0]) == pytest.approx(0.5, abs=0.1)
        and float(info["changed"][2]) < 0.01
    )


@pytest.mark.slow
def test_progress_shows_rate_and_convergence_and_changes_nothing(monkeypatch):
    screen = io.StringIO()
    console = rich.console.Console
    monkeypatch.setattr(
        rich.console, "Console", lambda **_: console(file=screen, force_terminal=True, width=100)
    )
    settings = dict(key=KEY, n_sweeps=400, n_chains=2)
    shown = run(HeatBath(), H, **settings, progress=True)
    assert same(shown, run(HeatBath(), H, **settings))
    for word in ("/s", "R-hat", "ESS"):
        assert word in screen.getvalue()
