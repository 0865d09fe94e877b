import jax
import pytest

from physdl import lattices, models
from physdl.errors import PhysdlError, SettingError, SpaceError
from physdl.estimators import Enumeration, Status
from physdl.learning import VariationalAutoregressive
from physdl.learning.variational_autoregressive import _is_cyclic

KEY = jax.random.key(0)
QUICK = VariationalAutoregressive(n_steps=400, batch_size=64, n_samples=2048, width=8)
MODELS = {
    "spins in a field": models.ising(lattices.square(3, 3), 0.4, 0.2),
    "cold spins": models.ising(lattices.square(3, 3), 0.8),
    "potts": models.potts(lattices.chain(5), 3, 0.8),
    "glass": models.sherrington_kirkpatrick(n_sites=8, beta=0.8, seed=2),
}


@pytest.mark.parametrize("name", MODELS)
def test_the_estimate_and_its_bound(name):
    h = MODELS[name]
    out, exact = QUICK(h, key=KEY), float(Enumeration()(h).log_z)
    assert int(out.status) == Status.OK
    assert abs(float(out.log_z) - exact) < 4 * float(out.stderr)
    assert float(out.lower) < exact and float(out.info["bound"]) > exact - 0.5
    assert int(out.info["training_status"]) == 0


def test_derivatives_are_moments():
    h = MODELS["spins in a field"]
    estimated = jax.grad(lambda h: QUICK(h, key=KEY).log_z)(h)
    exact = jax.grad(lambda h: Enumeration()(h).log_z)(h)
    for name in h.terms:
        a, b = (float(g.terms[name].coefficient) for g in (estimated, exact))
        assert a == pytest.approx(b, rel=0.1)


def test_symmetries_are_seen():
    assert _is_cyclic(MODELS["cold spins"]) and _is_cyclic(MODELS["potts"])
    assert not _is_cyclic(MODELS["spins in a field"])
    assert not _is_cyclic(models.blume_capel(lattices.chain(4), 0.3, 0.1))


def test_twice_the_draws():
    more = QUICK.larger()
    assert more.n_samples == 2 * QUICK.n_samples and more.n_steps == QUICK.n_steps


@pytest.mark.parametrize(
    ("run", "error", "message"),
    [
        (lambda: VariationalAutoregressive(n_steps=0), SettingError, "n_steps"),
        (lambda: VariationalAutoregressive(rate=-1.0), SettingError, "positive, got -1.0"),
        (lambda: QUICK(MODELS["potts"]), SettingError, "key"),
        (lambda: QUICK(models.gaussian(lattices.chain(3), r=1.0), key=KEY), SpaceError, "LINE"),
        (
            lambda: jax.jit(lambda h: QUICK(h, key=KEY).log_z)(MODELS["potts"]),
            PhysdlError,
            "use estimators.Autoregressive",
        ),
    ],
)
def test_bad_input(run, error, message):
    with pytest.raises(error, match=message):
        run()
