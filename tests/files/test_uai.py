"""UAI files against tables worked out by hand and a second, naive reader and counter."""

import itertools
import json
import math
import os
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from physdl import files, lattices, models
from physdl.errors import SettingError, SpaceError, SupportError, TooLargeError
from physdl.hamiltonian import Hamiltonian, Potential, Sites
from physdl.spaces import BINARY, LINE, SPIN, Product, finite, levels, potts, product

DATA = Path(os.environ.get("PHYSDL_DATA", Path(__file__).parents[3] / "shared" / "data"))

# Z by hand: 1 + 2 + 3 + 0.
TWO = "MARKOV\n2\n2 2\n1\n2 0 1\n\n4\n 1.0 2.0\n 3.0 0.0\n"
# One factor over (1, 0), last variable fastest: psi(x1, x0) with x1 in 0..2, x0 in 0..1, plus one
# over x1 and two constants. Z = 2 * 0.5 * (1*(1+2) + 10*(3+4) + 100*(5+6)) = 1173.
MIXED = "MARKOV 2 2 3 4 2 1 0 1 1 0 0 6 1 2 3 4 5 6 3 1 10 100 1 2 1 0.5"
# P(rain) = 0.2; P(sprinkler | rain); P(wet | sprinkler, rain).
BAYES = """BAYES
3
2 2 2
3
1 0
2 0 1
3 1 0 2

2
 0.8 0.2
4
 0.6 0.4
 0.99 0.01
8
 1.0 0.0
 0.2 0.8
 0.1 0.9
 0.01 0.99
"""
WET = 0.8 * (0.6 * 0.0 + 0.4 * 0.9) + 0.2 * (0.99 * 0.8 + 0.01 * 0.99)


def written(tmp_path, text, name="model.uai"):
    path = tmp_path / name
    path.write_text(text)
    return path


def naive_weights(text):
    """Weight of every configuration, from the text, in plain Python."""
    words = iter(text.split()[1:])

    def integers(n):
        return [int(next(words)) for _ in range(n)]

    (n,) = integers(1)
    n_states = integers(n)
    (n_factors,) = integers(1)
    scopes = []
    for _ in range(n_factors):
        (k,) = integers(1)
        scopes.append(integers(k))
    tables = []
    for _ in scopes:
        (size,) = integers(1)
        tables.append([float(next(words)) for _ in range(size)])
    out = {}
    for x in itertools.product(*map(range, n_states)):
        weight = 1.0
        for scope, table in zip(scopes, tables, strict=True):
            index = 0
            for v in scope:
                index = index * n_states[v] + x[v]
            weight *= table[index]
        out[x] = weight
    return out


def weights(h, configurations):
    return [math.exp(-float(h(jnp.array(x, float)))) for x in configurations]


def total(h):
    """Z by enumeration of the points of every site."""
    points = [np.ravel(h.space.at(i).array) for i in range(h.n_sites)]
    configurations = list(itertools.product(*points))
    grid = np.array(configurations).reshape(len(configurations), h.n_sites)
    return float(jnp.sum(jnp.exp(-jax.vmap(h)(jnp.asarray(grid)))))


def test_two_variables_by_hand(tmp_path):
    h = files.read_uai(written(tmp_path, TWO))
    assert h.space == BINARY
    assert h.shape == (2,)
    assert weights(h, [(0, 0), (0, 1), (1, 0), (1, 1)]) == pytest.approx([1, 2, 3, 0], abs=1e-15)
    assert total(h) == pytest.approx(6.0, rel=1e-14)
    assert float(h(jnp.array([1.0, 1.0]))) == math.inf


def test_mixed_cardinalities_constants_and_scope_order(tmp_path):
    h = files.read_uai(written(tmp_path, MIXED))
    assert h.space == product([levels(2), levels(3)])
    assert set(h.terms) == {"factor[3,2]", "factor[3]", "factor[]"}
    assert total(h) == pytest.approx(1173.0, rel=1e-13)
    reference = naive_weights(MIXED)
    assert weights(h, reference) == pytest.approx(list(reference.values()), rel=1e-13)


def test_equal_cardinalities_are_one_space(tmp_path):
    h = files.read_uai(written(tmp_path, "MARKOV 2 3 3 0"))
    assert h.space == levels(3)
    assert total(h) == 9.0


@pytest.mark.parametrize(
    ("text", "z"), [("MARKOV 0 0", 1.0), ("MARKOV 0 2 0 0 1 3 1 5", 15.0), ("MARKOV 1 1 0", 1.0)]
)
def test_degenerate_models(tmp_path, text, z):
    h = files.read_uai(written(tmp_path, text))
    assert total(h) == pytest.approx(z, rel=1e-14)


def test_bayes_network_is_normalised_and_evidence_has_its_probability(tmp_path):
    h = files.read_uai(written(tmp_path, BAYES))
    assert total(h) == pytest.approx(1.0, rel=1e-14)
    evidence = files.read_evidence(written(tmp_path, "1 2 1", "model.uai.evid"), h)
    assert total(h.condition(evidence)) == pytest.approx(WET, rel=1e-13)


@pytest.mark.parametrize("seed", range(4))
def test_random_models_agree_with_the_naive_reader(tmp_path, seed):
    rng = np.random.default_rng(seed)
    n_states = rng.integers(1, 4, size=5)
    scopes = [rng.permutation(5)[: rng.integers(0, 4)].tolist() for _ in range(12)]
    parts = ["MARKOV", "5", *map(str, n_states), str(len(scopes))]
    for scope in scopes:
        parts += map(str, [len(scope), *scope])
    for scope in scopes:
        table = rng.exponential(size=int(np.prod(n_states[scope]))) * (rng.random() < 0.9)
        parts += [str(table.size), *map(repr, table.tolist())]
    text = "\t \r\n".join(parts)
    h = files.read_uai(written(tmp_path, text))
    reference = naive_weights(text)
    assert weights(h, reference) == pytest.approx(list(reference.values()), rel=1e-12, abs=1e-300)


def test_hundreds_of_factors_are_a_few_terms(tmp_path):
    h = models.edwards_anderson(lattices.square(10, 10), field=0.1)
    files.write_uai(tmp_path / "grid.uai", h)
    back = files.read_uai(tmp_path / "grid.uai")
    assert {n: len(t.sites.array) for n, t in back.terms.items()} == {
        "factor[2,2]": 200,
        "factor[2]": 100,
    }


@pytest.mark.parametrize(
    "h",
    [
        models.ising(lattices.square(3, 2, periodic=False), 0.7, 0.3),
        models.potts(lattices.chain(4), 3, 0.9),
        models.blume_capel(lattices.chain(3), 0.8, 0.4),
        Hamiltonian(
            {
                "table": Potential([[0.0, jnp.inf, 1.5], [-2.0, 3.0, jnp.inf]], [[1, 0]]),
                "constant": Sites([0.25], np.empty((1, 0), int)),
            },
            space=product([finite([0.5, 1.0, 7.0]), SPIN]),
            shape=(2,),
        ),
    ],
    ids=["ising", "potts", "blume_capel", "mixed with constraints"],
)
def test_round_trip_keeps_every_weight(tmp_path, h):
    files.write_uai(tmp_path / "h.uai", h)
    back = files.read_uai(tmp_path / "h.uai")
    points = [h.space.at(i).array for i in range(h.n_sites)]
    labels = np.array(list(itertools.product(*[range(len(p)) for p in points])))
    states = np.array([[p[b] for p, b in zip(points, row, strict=True)] for row in labels])
    before = jax.vmap(h)(jnp.asarray(states).reshape(-1, *h.state_shape))
    after = jax.vmap(back)(jnp.asarray(labels, float))
    np.testing.assert_allclose(after, before, rtol=0, atol=5e-15)


def test_a_second_round_trip_changes_nothing(tmp_path):
    files.write_uai(tmp_path / "a.uai", files.read_uai(written(tmp_path, MIXED)))
    files.write_uai(tmp_path / "b.uai", files.read_uai(tmp_path / "a.uai"))
    assert (tmp_path / "a.uai").read_text() == (tmp_path / "b.uai").read_text()


@pytest.mark.parametrize("energy", [2500.0, -2500.0])
def test_energies_beyond_the_range_of_doubles_survive(tmp_path, energy):
    h = models.ising(lattices.chain(3, periodic=False), energy, 0.5)
    files.write_uai(tmp_path / "cold.uai", h)
    back = files.read_uai(tmp_path / "cold.uai")
    for x in itertools.product([-1.0, 1.0], repeat=3):
        state = jnp.array(x)
        assert float(back((state + 1) / 2)) == pytest.approx(float(h(state)), abs=1e-11)


def test_writing_refuses_what_the_format_cannot_hold(tmp_path):
    path = tmp_path / "no.uai"
    chain = lattices.chain(3)
    with pytest.raises(SpaceError, match="finite"):
        files.write_uai(path, models.phi4(chain, r=1.0, u=1.0))
    with pytest.raises(TooLargeError, match=r"\.npz"):
        files.write_uai(path, models.ising(chain, 1e12))
    with pytest.raises(SettingError, match="NaN"):
        files.write_uai(path, models.ising(chain, jnp.nan))
    with pytest.raises(SettingError, match="jit"):
        jax.grad(lambda k: files.write_uai(path, models.ising(chain, k)) or k)(1.0)
    assert not path.exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", {}),
        ("0\n", {}),
        ("2 0 1 5 0", {0: 1.0, 5: 0.0}),
        ("2\n0 1\n5 0\n\n", {0: 1.0, 5: 0.0}),
        ("1\n2 0 1 5 0", {0: 1.0, 5: 0.0}),
        ("1\n1 4 2\n", {4: 2.0}),
        ("1 4 2", {4: 2.0}),
        ("2 3 1 3 1", {3: 1.0}),
    ],
)
def test_evidence(tmp_path, text, expected):
    assert files.read_evidence(written(tmp_path, text, "m.evid")) == expected


def test_evidence_names_states_by_number(tmp_path):
    path = written(tmp_path, "2 0 0 2 1", "m.evid")
    h = models.ising(lattices.chain(3), 1.0)
    assert files.read_evidence(path, h) == {0: -1.0, 2: 1.0}
    with pytest.raises(SupportError, match="site 0"):
        h.condition(files.read_evidence(path))
    with pytest.raises(SpaceError, match="vectors"):
        files.read_evidence(path, Hamiltonian({}, space=potts(3), shape=(3,)))
    with pytest.raises(SpaceError, match="finite"):
        files.read_evidence(path, Hamiltonian({}, space=LINE, shape=(3,)))


def test_evidence_round_trip(tmp_path):
    evidence = {7: 0, 2: 3.0, 0: 1}
    files.write_evidence(tmp_path / "m.evid", evidence)
    assert files.read_evidence(tmp_path / "m.evid") == evidence
    files.write_evidence(tmp_path / "m.evid", {})
    assert files.read_evidence(tmp_path / "m.evid") == {}
    for wrong in ({-1: 0}, {0: 0.5}, {0: math.nan}, {0: math.inf}):
        with pytest.raises(SettingError, match="integers >= 0"):
            files.write_evidence(tmp_path / "m.evid", wrong)


@pytest.mark.parametrize("log_z", [0.0, -23.9961 * math.log(10), 1e300, -math.inf])
def test_result_round_trip(tmp_path, log_z):
    files.write_pr(tmp_path / "m.PR", log_z)
    assert files.read_pr(tmp_path / "m.PR") == pytest.approx(log_z, rel=1e-15)


def test_results_are_decimal_logarithms(tmp_path):
    files.write_pr(tmp_path / "m.PR", math.log(1000.0))
    word, value = (tmp_path / "m.PR").read_text().split()
    assert word == "PR"
    assert float(value) == pytest.approx(3.0, rel=1e-15)
    older = files.read_pr(written(tmp_path, "PR\n1\n2.0", "m.PR"))
    assert older == pytest.approx(math.log(100.0), rel=1e-15)
    for value in (math.nan, math.inf):
        with pytest.raises(SettingError, match="finite"):
            files.write_pr(tmp_path / "m.PR", value)


COUNTS = {
    "CSP_11": (82, 462, 0),
    "DBN_11": (40, 440, 0),
    "Grids_11": (100, 300, 0),
    "Grids_13": (100, 300, 0),
    "Grids_15": (400, 1160, 0),
    "Pedigree_11": (385, 385, 37),
    "Promedus_11": (461, 461, 8),
    "Segmentation_11": (228, 845, 0),
    "Segmentation_12": (229, 851, 0),
}


@pytest.mark.skipif(not (DATA / "uai").is_dir(), reason=f"no UAI instances in {DATA / 'uai'}")
@pytest.mark.parametrize("name", COUNTS)
def test_competition_instances(name):
    path = DATA / "uai" / f"{name}.uai"
    assert name in json.loads((DATA / "uai" / "log10_z.json").read_text())
    jnp.zeros(()).block_until_ready()
    start = time.process_time()
    h = files.read_uai(path)
    assert time.process_time() - start < 0.3
    evidence = files.read_evidence(DATA / "uai" / f"{name}.uai.evid", h)
    n_factors = sum(len(t.sites.array) for t in h.terms.values())
    assert (h.n_sites, n_factors, len(evidence)) == COUNTS[name]
    assert len(h.terms) <= 8
    assert isinstance(h.space, Product) == (name in ("CSP_11", "Pedigree_11"))
    assert len(evidence) == 0 or h.condition(evidence).n_sites == h.n_sites - len(evidence)
