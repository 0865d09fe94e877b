"""The native format: bit for bit, for every kind of term and space."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import files, lattices, models
from physdl.errors import FormatError, PhysdlError, SettingError
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.spaces import BINARY, LINE, SPIN, finite, levels, potts, product

RNG = np.random.default_rng(7)
HARD = Potential([[0.0, jnp.inf], [0.1, 1 / 3]], [[0, 1], [2, 1]])
HAMILTONIANS = {
    "stencil with a shared number": models.ising(lattices.square(4, 4), 0.44),
    "stencil with disorder and field": models.edwards_anderson(lattices.square(3, 4), 1.1, 0.2),
    "stencil on components": models.clock(lattices.square(3, 3), 5, 0.7),
    "sites": models.ising(lattices.honeycomb(2, 2), 0.3),
    "sites summed over components": models.potts(lattices.honeycomb(2, 2), 3, 0.3, [0.1, 0.2, 0]),
    "dense": models.sherrington_kirkpatrick(8),
    "dense in blocks": models.rbm(RNG.normal(size=(3, 2))),
    "line": models.phi4(lattices.square(3, 3), r=-1.0, u=2.0),
    "sphere": models.heisenberg(lattices.chain(4), 1.0, jnp.array([0.0, 0.0, 0.3])),
    "table with a constraint": Hamiltonian({"t": HARD}, space=BINARY, shape=(3,)),
    "table of one group of three": Hamiltonian(
        {"t": Potential(RNG.normal(size=(2, 3, 2)), [[0, 2, 1]])},
        space=product([SPIN, BINARY, levels(3)]),
        shape=(3,),
    ),
    "product with a line": Hamiltonian(
        {"z": Sites([0.1, -0.0], [[0, 1], [2, 2]]), "a/b|1 é": Sites(5e-324, [[1]])},
        space=product([finite([0.1, 1 / 3]), SPIN, LINE]),
        shape=(3,),
    ),
    "constants": Hamiltonian(
        {"c": Sites([0.5], np.empty((1, 0), int)), "d": Potential(1.5, np.empty((1, 0), int))},
        space=SPIN,
        shape=(0,),
    ),
    "no terms": Hamiltonian({}, space=potts(3), shape=(2, 2)),
}


def same(a, b):
    """Equal in structure, and in every bit of the data."""
    x, y = jax.tree.leaves(a), jax.tree.leaves(b)
    bits = all(
        u.dtype == v.dtype
        and u.shape == v.shape
        and np.asarray(u).tobytes() == np.asarray(v).tobytes()
        for u, v in zip(x, y, strict=True)
    )
    return a == b and bits and list(a.terms) == list(b.terms) and repr(a) == repr(b)


@pytest.mark.parametrize("dtype", [jnp.float64, jnp.float32, jnp.float16])
@pytest.mark.parametrize("name", HAMILTONIANS)
def test_round_trip(tmp_path, name, dtype):
    h = HAMILTONIANS[name]
    terms = {k: jax.tree.map(lambda leaf: leaf.astype(dtype), t) for k, t in h.terms.items()}
    h = Hamiltonian(terms, space=h.space, shape=h.shape)
    files.write_npz(tmp_path / "h.npz", h)
    assert same(files.read_npz(tmp_path / "h.npz"), h)


def test_a_gradient_is_kept(tmp_path):
    h = models.ising(lattices.square(3, 3), 0.4)
    slope = jax.grad(lambda h: h(jnp.ones((3, 3))))(h)
    files.write_npz(tmp_path / "slope.npz", slope)
    assert same(files.read_npz(tmp_path / "slope.npz"), slope)


def test_the_same_hamiltonian_gives_the_same_bytes(tmp_path):
    for name in ("a.npz", "b.npz"):
        files.write_npz(tmp_path / name, models.edwards_anderson(lattices.square(4, 4), seed=1))
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_numpy_alone_reads_it(tmp_path):
    files.write_npz(tmp_path / "h.npz", HAMILTONIANS["dense in blocks"])
    with np.load(tmp_path / "h.npz", allow_pickle=False) as archive:
        header = json.loads(archive["physdl"].item())
        coefficient = archive["0.coefficient"]
    assert header["format"] == 1
    assert header["terms"][0]["kind"] == "Dense"
    assert header["terms"][0]["blocks"] == [0, 3]
    assert coefficient.shape == (3, 2)


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path, old = tmp_path / "h.npz", models.ising(lattices.chain(4), 0.5)
    files.write_npz(path, old)

    def fail(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(FormatError, match="No space left"):
        files.write_npz(path, models.ising(lattices.chain(5), 0.5))
    monkeypatch.undo()
    assert files.read_npz(path) == old
    assert [p.name for p in tmp_path.iterdir()] == ["h.npz"]


def test_refusals(tmp_path):
    path, h = tmp_path / "no.npz", models.ising(lattices.chain(4), 0.5)
    with pytest.raises(SettingError, match="jit"):
        jax.jit(lambda h: files.write_npz(path, h))(h)
    with pytest.raises(SettingError, match="bfloat16"):
        files.write_npz(path, jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), h))
    batch = jax.vmap(lambda k: models.ising(lattices.honeycomb(2, 2), k))(jnp.ones((3, 12)))
    with pytest.raises(PhysdlError, match="coefficient of shape"):
        files.write_npz(path, batch)
    with pytest.raises(FormatError, match="cannot be written"):
        files.write_npz(tmp_path / "nowhere" / "h.npz", h)
    assert not path.exists()


@pytest.mark.parametrize(
    "suffix", [".npz", ".uai", ".rud", ".rudy", ".mc", ".sg", ".txt", ".EDGES"]
)
def test_load_and_save_by_suffix(tmp_path, suffix):
    h = models.ising(lattices.chain(4), 0.5)
    path = tmp_path / f"model{suffix}"
    files.save(path, h)
    back = files.load(str(path))
    energies = sorted(float(h(jnp.array(s))) for s in np.ndindex(2, 2, 2, 2) for s in [_spins(s)])
    own = [s if suffix == ".uai" else _spins(s) for s in np.ndindex(2, 2, 2, 2)]
    assert sorted(float(back(jnp.array(s, float))) for s in own) == pytest.approx(energies)


def _spins(labels):
    return [2.0 * b - 1.0 for b in labels]


def test_load_options_and_unknown_suffixes(tmp_path):
    path = tmp_path / "pair.rud"
    path.write_text("2 1\n1 2 3")
    assert float(files.load(path, beta=0.5, problem="maxcut")([1, -1])) == -1.5
    files.save(tmp_path / "pair.npz", files.load(path))
    with pytest.raises(SettingError, match="beta and problem can be given for edge lists"):
        files.load(tmp_path / "pair.npz", beta=1.0, problem="ising")
    for name in ("model.pkl", "G1"):
        with pytest.raises(FormatError, match=r"suffix .*\.uai"):
            files.load(tmp_path / name)
        with pytest.raises(FormatError, match=r"suffix .*\.uai"):
            files.save(tmp_path / name, files.load(path))
