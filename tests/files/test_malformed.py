"""Every damaged file ends in a FormatError that names the place, at no cost in time or memory."""

import contextlib
import io
import json
import time
import tracemalloc
import zipfile

import jax.numpy as jnp
import numpy as np
import pytest

from physdl import files, lattices, models
from physdl.errors import FormatError
from physdl.hamiltonian import Hamiltonian, Potential
from physdl.spaces import BINARY, levels, product

VALID = "MARKOV 2 2 3 2 1 0 2 0 1 2 1.0 2.0 6 1 2 3 4 5 6"
HUGE = "1000000000000"
SUFFIXES = {
    files.read_uai: ".uai",
    files.read_evidence: ".uai.evid",
    files.read_pr: ".PR",
    files.read_edge_list: ".rud",
    files.read_npz: ".npz",
}


@contextlib.contextmanager
def cheap(megabytes=50, seconds=2.0):
    """The block takes little memory and time."""
    jnp.zeros(()).block_until_ready()
    tracemalloc.start()
    start = time.process_time()
    try:
        yield
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert time.process_time() - start < seconds
    assert peak < megabytes * 1e6


def refused(tmp_path, read, content, *places):
    """Reading ``content`` raises one sentence that names the file and every place."""
    path = tmp_path / f"bad{SUFFIXES[read]}"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with cheap(), pytest.raises(FormatError) as caught:
        read(path)
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert message.endswith(".")
    assert len(message) < 600
    for place in places:
        assert place in message
    return message


UAI = {
    "unknown kind": ("FACTORS 2 2 2 0", ["line 1, token 1", "'FACTORS'", "MARKOV or BAYES"]),
    "lower case": ("markov 0 0", ["token 1", "'markov'"]),
    "negative number of variables": ("MARKOV -1 0", ["token 2", "variables", "'-1'"]),
    "fractional number of variables": ("MARKOV 2.5 2 2 0", ["token 2", "'2.5'"]),
    "number of variables as a word": ("MARKOV two 2 2 0", ["token 2", "'two'"]),
    "a billion variables": (
        "MARKOV\n1000000000\n2 2\n",
        ["line 2, token 2", "only 2 tokens follow"],
    ),
    "a number of 5000 digits": ("MARKOV " + "9" * 5000, ["token 2", "'99999999999999999999"]),
    "zero states": ("MARKOV 2\n2 0\n0", ["line 2, token 4", "variable 1 has 0 states"]),
    "negative states": ("MARKOV 2 2 -2 0", ["token 4", "'-2'"]),
    "huge number of states": (f"MARKOV 2 2 {HUGE} 0", ["token 4", f"variable 1 has {HUGE} states"]),
    "a million factors": ("MARKOV 2 2 2\n1000000\n1 0", ["line 2, token 5", "is 1000000"]),
    "negative number of factors": ("MARKOV 1 2 -1", ["token 4", "'-1'"]),
    "huge scope": (f"MARKOV 1 2 1 {HUGE} 0", ["token 5", "factor 0", HUGE]),
    "a scope of 33": (
        f"MARKOV 33 {'1 ' * 33} 1 33 {' '.join(map(str, range(33)))} 1 1.0",
        ["token 37", "factor 0 has 33 variables", "32"],
    ),
    "variable out of range": (
        "MARKOV 2 2 2 1\n2 0 2\n4 1 1 1 1",
        ["line 2, token 8", "variable 2"],
    ),
    "negative variable": ("MARKOV 2 2 2 1 2 0 -1 4 1 1 1 1", ["token 8", "'-1'"]),
    "fractional variable": ("MARKOV 2 2 2 1 2 0 1.0 4 1 1 1 1", ["token 8", "'1.0'"]),
    "repeated variable": ("MARKOV 2 2 2 1 2 1 1 4 1 1 1 1", ["token 8", "factor 0", "twice"]),
    "table too small": ("MARKOV 2 2 2 1 2 0 1\n3 1 1 1", ["line 2, token 9", "is 3", "needs 4"]),
    "table too large": ("MARKOV 1 2 1 1 0 3 1 1 1", ["token 7", "factor 0", "needs 2"]),
    "constant with two entries": ("MARKOV 1 2 1 0 2 1 1", ["token 6", "no variables", "needs 1"]),
    "table size as a fraction": ("MARKOV 1 2 1 1 0 2.0 1 1", ["token 7", "'2.0'"]),
    "overflowing table": (
        f"MARKOV 10 {'1000 ' * 10} 1 10 0 1 2 3 4 5 6 7 8 9 {10**30} 1",
        ["token 25", "factor 0"],
    ),
    "consistent table of 10^12 entries": (
        f"MARKOV 4 {'1000 ' * 4} 1 4 0 1 2 3 {HUGE} 1",
        ["token 13", f"is {HUGE}", "only 1 tokens follow"],
    ),
    "negative entry": ("MARKOV 1 2 1 1 0 2\n1.0\n-0.5", ["line 3, token 9", "factor 0", "'-0.5'"]),
    "nan entry": ("MARKOV 1 2 1 1 0 2 nan 1", ["token 8", "factor 0", "'nan'"]),
    "infinite entry": ("MARKOV 1 2 2 1 0 0 2 1 1 1 inf", ["token 12", "factor 1", "'inf'"]),
    "entry that overflows": ("MARKOV 1 2 1 1 0 2 1e999 1", ["token 8", "'1e999'"]),
    "entry as a word": ("MARKOV 1 2 1 1 0 2 1.0 O.5", ["token 9", "'O.5'"]),
    "entry with an underscore": ("MARKOV 1 2 1 1 0 2 1_0 1", ["token 8", "'1_0'"]),
    "decimal comma": ("MARKOV 1 2 1 1 0 2 0,5 0,5", ["token 8", "'0,5'"]),
    "trailing token": (VALID + "\n7", ["line 2, token 21", "'7'", "complete"]),
    "a second model": (VALID + "\n" + VALID, ["line 2, token 21", "'MARKOV'"]),
    "empty": ("", ["empty"]),
    "only whitespace": (" \n\t\n", ["empty"]),
    "bytes of a picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), ["byte 0", "0x89"]),
    "UTF-16": (VALID.encode("utf-16"), ["byte 0", "ASCII"]),
    "UTF-8 with a byte order mark": (
        b"\xef\xbb\xbf" + VALID.encode(),
        ["byte 0", "byte order mark"],
    ),
    "zeros": (bytes(100), ["token 1"]),
    "one token of a megabyte": (b"x" * 10**6, ["token 1", "'xxxxxxxxxxxxxxxxxxxxx...'"]),
}


@pytest.mark.parametrize("case", UAI)
def test_uai(tmp_path, case):
    content, places = UAI[case]
    refused(tmp_path, files.read_uai, content, *places)


def test_uai_truncated_at_every_token(tmp_path):
    words = VALID.split()
    for n in range(1, len(words)):
        refused(tmp_path, files.read_uai, " ".join(words[:n]), "token")


def test_uai_with_any_token_replaced(tmp_path):
    rng = np.random.default_rng(5)
    junk = ["-1", "0", "1", "7", HUGE, "nan", "x", "1e400", "2.5", "", "\0", "9" * 40]
    refusals = 0
    for _ in range(300):
        words = VALID.split()
        words[rng.integers(len(words))] = junk[rng.integers(len(junk))]
        path = tmp_path / "fuzz.uai"
        path.write_text(" ".join(words))
        try:
            assert isinstance(files.read_uai(path), Hamiltonian)
        except FormatError as error:
            assert "fuzz.uai" in str(error)
            refusals += 1
    assert refusals > 150


@pytest.mark.parametrize("read", SUFFIXES)
def test_missing_file_and_folder(tmp_path, read):
    with pytest.raises(FormatError, match=r"absent\.x does not exist"):
        read(tmp_path / "absent.x")
    with pytest.raises(FormatError, match="is a folder"):
        read(tmp_path)
    with pytest.raises(FormatError, match="cannot be read"):
        read("a\0b")


EVIDENCE = {
    "too few": ("2 0 1", ["token 1", "2 observed variables need 5 tokens, found 3"]),
    "too many": ("1 0 1 1 0", ["need 3 tokens, found 5"]),
    "no value": ("1 0", ["need 3 tokens, found 2"]),
    "older form without observations": ("1\n0\n", ["need 3 tokens, found 2", "'0' where nothing"]),
    "older form, two samples": ("2\n1 0 1\n1 0 0", ["need 5 tokens, found 7"]),
    "older form, wrong count": ("1\n2 0 1", ["need 3 tokens, found 4"]),
    "older form on one line": ("1 1 0 1", ["need 3 tokens, found 4"]),
    "huge count": (f"{HUGE} 0 1", [f"{HUGE} observed"]),
    "negative count": ("-1", ["token 1", "'-1'"]),
    "negative variable": ("1 -1 0", ["token 2", "'-1'"]),
    "fractional state": ("1 1 0.5", ["token 3", "'0.5'"]),
    "word": ("1 1 true", ["token 3", "'true'"]),
    "contradiction": ("2 1 0\n1 1", ["line 2, token 5", "variable 1", "two different states"]),
    "junk": (b"\xff\xfe1", ["byte 0", "0xff"]),
    "empty": ("", ["empty"]),
}


@pytest.mark.parametrize("case", EVIDENCE)
def test_evidence(tmp_path, case):
    content, places = EVIDENCE[case]
    refused(tmp_path, files.read_evidence, content, *places)


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("1 2 0", "token 2", "variable 2 does not exist: the model has 2 variables"),
        ("2 0 1\n1 3", "line 2, token 5", "variable 1 cannot be in state 3: it has 3 states"),
        (f"1 {HUGE} 0", "token 2", "does not exist"),
        (f"1 0 {HUGE}", "token 3", "cannot be in state"),
    ],
)
def test_evidence_for_another_model(tmp_path, text, place, problem):
    h = Hamiltonian({}, space=product([levels(2), levels(3)]), shape=(2,))
    path = tmp_path / "other.evid"
    path.write_text(text)
    with cheap(), pytest.raises(FormatError, match=problem) as caught:
        files.read_evidence(path, h)
    assert place in str(caught.value)


@pytest.mark.parametrize(
    ("text", "places"),
    [
        ("MAR\n1.0", ["token 1", "'MAR'"]),
        ("PR", ["after token 1", "log10 Z is missing"]),
        ("PR\n1.0 2.0", ["token 3", "one value"]),
        ("PR\n1\n2.0\n3.0", ["token 3", "one value"]),
        ("PR\nz", ["line 2, token 2", "'z'"]),
        ("PR\nnan", ["token 2", "'nan'"]),
        ("PR\ninf", ["token 2", "'inf'"]),
        ("", ["empty"]),
    ],
)
def test_results(tmp_path, text, places):
    refused(tmp_path, files.read_pr, text, *places)


EDGES = {
    "comments only": ("# nothing\nc at all\n", ["only comments"]),
    "header of one number": ("3\n1 2 1", ["line 1", "'n m'", "'3'"]),
    "header of three numbers": ("# x\n3 2 1\n1 2 1\n2 3 1", ["line 2", "'3 2 1'"]),
    "negative header": ("-3 1\n1 2 1", ["line 1", "'-3 1'"]),
    "fractional header": ("3 1.0\n1 2 1", ["line 1", "'3 1.0'"]),
    "word in the header": ("p edge\n1 2 1", ["line 1", "'p edge'"]),
    "too few edges": ("3 3\n1 2 1\n2 3 1", ["line 1", "3 edges are declared, but 2 lines follow"]),
    "too many edges": ("3 1\n1 2 1\n2 3 1", ["1 edges are declared, but 2 lines follow"]),
    "a billion vertices": ("1000000000 1\n1 2 1", ["line 1", "1000000000 vertices"]),
    "huge number of edges": (f"2 {HUGE}\n1 2 1", [f"{HUGE} edges"]),
    "vertex 0": ("3 2\n1 2 1\nc\n0 1 1", ["line 4", "joins 0 and 1", "1 to 3"]),
    "vertex above n": ("3 1\n1 4 1", ["line 2", "joins 1 and 4"]),
    "huge vertex": (f"3 1\n1 {HUGE} 1", ["line 2", HUGE]),
    "negative vertex": ("3 1\n-1 2 1", ["line 2", "'-1 2 1'"]),
    "fractional vertex": ("3 1\n1 2.5 1", ["line 2", "'1 2.5 1'"]),
    "self-loop": ("3 2\n1 2 1\n3 3 1", ["line 3", "vertex 3 to itself"]),
    "duplicate": ("3 2\n1 2 1\n1 2 2", ["line 3", "1 2 stands already in line 2"]),
    "duplicate in reverse": ("3 3\n1 2 1\n2 3 1\n3 2 1", ["line 4", "already in line 3"]),
    "one end": ("3 1\n1", ["line 2", "'i j'", "'1'"]),
    "four columns": ("3 1\n1 2 3 4", ["line 2", "'1 2 3 4'"]),
    "weight as a word": ("3 2\n1 2 1\n2 3 one", ["line 3", "'one'"]),
    "nan weight": ("3 1\n1 2 nan", ["line 2", "'nan'"]),
    "infinite weight": ("3 1\n1 2 -inf", ["line 2", "'-inf'"]),
    "weight with an underscore": ("3 1\n1 2 1_000", ["line 2", "'1_000'"]),
    "junk": (bytes(range(256)), ["line 1"]),
    "UTF-16": ("3 1\n1 2 1".encode("utf-16"), ["line 1"]),
    "empty": ("", ["empty"]),
}


@pytest.mark.parametrize("case", EDGES)
def test_edge_list(tmp_path, case):
    content, places = EDGES[case]
    refused(tmp_path, files.read_edge_list, content, *places)


def test_edge_list_truncated_at_every_line_and_word(tmp_path):
    lines = ["4 3", "1 2", "2 3", "3 4"]
    words = "\n".join(lines).replace(" ", " \0").split("\0")
    for n in range(1, len(words)):
        refused(tmp_path, files.read_edge_list, "".join(words[:n]), "line")


def npz(header, **arrays):
    """An archive with the given JSON (text or object) and arrays."""
    text = header if isinstance(header, str) else json.dumps(header)
    buffer = io.BytesIO()
    np.savez(buffer, **{"physdl": np.array(text)}, **arrays)
    return buffer.getvalue()


def model(**changes):
    """A valid header with some fields replaced."""
    space = {"kind": "Finite", "name": "BINARY", "points": [0.0, 1.0]}
    terms = [{"name": "t", "kind": "Potential"}]
    return {"format": 1, "shape": [2], "space": space, "terms": terms} | changes


def stored(**entries):
    """A zip of raw bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, raw in entries.items():
            archive.writestr(f"{name}.npy", raw)
    return buffer.getvalue()


def declared(shape, descr="<f8"):
    """The header of an array of any declared shape, without data."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": descr, "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


def raw(array):
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


def utf32(text):
    return text.encode("utf-32-le")


def compressed(header):
    buffer = io.BytesIO()
    np.savez_compressed(buffer, physdl=np.array(json.dumps(header)))
    return buffer.getvalue()


TABLE = {"0.table": np.zeros((1, 2, 2)), "0.sites": np.array([[0, 1]], np.int32)}
GOOD = npz(model(), **TABLE)
TEXT = raw(json.dumps(model()))
CHAIN = np.array([[[0], [1]]], np.int32)
STENCIL = {"0.coefficient": np.ones(()), "0.offsets": CHAIN}

ARCHIVES = {
    "not a zip": (b"not a zip archive", ["zip"]),
    "empty": (b"", ["empty"]),
    "truncated": (GOOD[: len(GOOD) // 2], ["zip"]),
    "damaged data": (GOOD.replace(utf32("BI"), utf32("bI")), ["'physdl'", "CRC"]),
    "no header": (npz(model()).replace(b"physdl.npy", b"fysdl1.npy"), ["'physdl' is missing"]),
    "header is an array": (stored(physdl=raw(np.zeros(3))), ["'physdl' must be a string"]),
    "header is no JSON": (npz("{"), ["'physdl' is no JSON"]),
    "header is nested deeply": (npz("[" * 100000), ["'physdl' is no JSON"]),
    "header is a list": (npz([1, 2]), ["'physdl' must hold a JSON object"]),
    "no version": (npz({}), ["'format'", "None"]),
    "version as text": (npz(model(format="1")), ["'format'", "'1'"]),
    "newer version": (npz(model(format=2)), ["format 2", "update physdl"]),
    "version 0": (npz(model(format=0)), ["format 0"]),
    "pickled object": (stored(physdl=raw(np.array([{}], object))), ["'physdl'", "pickled"]),
    "pickled coefficients": (
        stored(
            **{
                "physdl": TEXT,
                "0.table": raw(np.array([[[None] * 2] * 2], object)),
                "0.sites": raw(TABLE["0.sites"]),
            }
        ),
        ["'0.table'", "pickled"],
    ),
    "missing table": (npz(model(), **{"0.sites": TABLE["0.sites"]}), ["'0.table' is missing"]),
    "missing sites": (npz(model(), **{"0.table": TABLE["0.table"]}), ["'0.sites' is missing"]),
    "table of another shape": (
        npz(model(), **TABLE | {"0.table": np.zeros((3, 2, 2))}),
        ["(3, 2, 2)"],
    ),
    "table of text": (npz(model(), **TABLE | {"0.table": np.array("a")}), ["'0.table'", "<U1"]),
    "table of integers": (npz(model(), **TABLE | {"0.table": np.zeros((1, 2, 2), int)}), ["int64"]),
    "sites of 64 bits": (
        npz(model(), **TABLE | {"0.sites": np.array([[0, 1]])}),
        ["'0.sites'", "int64"],
    ),
    "sites that do not exist": (
        npz(model(), **TABLE | {"0.sites": np.array([[0, 2]], np.int32)}),
        ["'t'", "site 2"],
    ),
    "site named twice": (
        npz(model(), **TABLE | {"0.sites": np.array([[1, 1]], np.int32)}),
        ["group 0", "twice"],
    ),
    "declared terabytes": (
        stored(**{"physdl": TEXT, "0.table": declared((10**6, 10**6))}),
        ["'0.table'", "holds 0"],
    ),
    "declared overflow": (
        stored(**{"physdl": TEXT, "0.table": declared((2**62, 2**62))}),
        ["'0.table'", "holds 0"],
    ),
    "negative shape": (stored(**{"physdl": TEXT, "0.table": declared((-1, 0))}), ["'0.table'"]),
    "entry that is no array": (stored(**{"physdl": TEXT, "0.table": b"junk"}), ["'0.table'"]),
    "entry with a header of 50 kB": (
        stored(**{"physdl": TEXT, "0.table": declared((1,) * 15000)}),
        ["'0.table'", "damaged"],
    ),
    "entry of a structured type": (
        stored(**{"physdl": TEXT, "0.table": raw(np.zeros(2, [("a", "f8")]))}),
        ["'0.table'"],
    ),
    "compressed": (compressed(model(shape=[0] * 10**6)), ["'physdl.npy' is compressed"]),
    "shape as a number": (npz(model(shape=4)), ["'shape'", "4"]),
    "negative length": (npz(model(shape=[-2])), ["'shape'", "[-2]"]),
    "fractional length": (npz(model(shape=[2.0])), ["'shape'", "[2.0]"]),
    "length true": (npz(model(shape=[True])), ["'shape'", "[True]"]),
    "huge shape": (npz(model(shape=[10**9]), **TABLE), ["1000000000", "more sites"]),
    "huge shape without terms": (npz(model(shape=[10**6] * 9, terms=[])), ["more sites"]),
    "no space": (npz(model(space=None)), ["'space'", "None"]),
    "unknown space": (npz(model(space={"kind": "Torus"})), ["'Torus'"]),
    "points as text": (
        npz(model(space={"kind": "Finite", "name": "", "points": "x"})),
        ["'points'"],
    ),
    "points that repeat": (
        npz(model(space={"kind": "Finite", "name": "", "points": [1, 1]})),
        ["points", "differ"],
    ),
    "infinite point": (
        npz(model(space={"kind": "Finite", "name": "", "points": [1, float("inf")]})),
        ["points", "finite"],
    ),
    "ragged points": (
        npz(model(space={"kind": "Finite", "name": "", "points": [[1], [2, 3]]})),
        ["points"],
    ),
    "sphere of dimension 1": (npz(model(space={"kind": "Sphere", "n_components": 1})), ["sphere"]),
    "product of vectors": (
        npz(model(space={"kind": "Product", "spaces": [{"kind": "Sphere", "n_components": 2}]})),
        ["scalar spaces"],
    ),
    "product out of range": (
        npz(model(space={"kind": "Product", "spaces": [{"kind": "Line"}], "of_site": [0, 1]})),
        ["'of_site' names space 1"],
    ),
    "product of another length": (
        npz(
            model(space={"kind": "Product", "spaces": [{"kind": "Line"}], "of_site": [0]}, terms=[])
        ),
        ["1 spaces", "2 sites"],
    ),
    "terms as an object": (npz(model(terms={})), ["'terms'"]),
    "term as a number": (npz(model(terms=[1])), ["term number 0"]),
    "term without name": (npz(model(terms=[{"kind": "Sites"}])), ["'name'"]),
    "unknown kind of term": (npz(model(terms=[{"name": "t", "kind": "Cubic"}])), ["'Cubic'"]),
    "two terms of one name": (
        npz(model(terms=[{"name": "t", "kind": "Potential"}] * 2), **TABLE),
        ["two terms are named 't'"],
    ),
    "blocks of three": (
        npz(model(terms=[{"name": "t", "kind": "Dense", "blocks": [0, 1, 2]}])),
        ["'blocks'", "[0, 1, 2]"],
    ),
    "overlapping blocks": (
        npz(
            model(terms=[{"name": "t", "kind": "Dense", "blocks": [0, 0]}]),
            **{"0.coefficient": np.ones((2, 2))},
        ),
        ["overlap"],
    ),
    "components of text": (
        npz(model(terms=[{"name": "t", "kind": "Stencil", "components": ["a"]}]), **STENCIL),
        ["'components'"],
    ),
    "ragged components": (
        npz(
            model(terms=[{"name": "t", "kind": "Stencil", "components": [[0], [1, 2]]}]), **STENCIL
        ),
        ["'components'"],
    ),
    "no components": (
        npz(model(terms=[{"name": "t", "kind": "Stencil", "components": [[]]}]), **STENCIL),
        ["'components'"],
    ),
    "component that does not exist": (
        npz(model(terms=[{"name": "t", "kind": "Stencil", "components": [[0, 3]]}]), **STENCIL),
        ["component 3"],
    ),
}


@pytest.mark.parametrize("case", ARCHIVES)
def test_npz(tmp_path, case):
    content, places = ARCHIVES[case]
    refused(tmp_path, files.read_npz, content, *places)


def test_the_undamaged_archive_is_read(tmp_path):
    (tmp_path / "good.npz").write_bytes(GOOD)
    h = Hamiltonian({"t": Potential(jnp.zeros((1, 2, 2)), [[0, 1]])}, space=BINARY, shape=(2,))
    assert files.read_npz(tmp_path / "good.npz") == h


def test_npz_with_repeated_entries(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("physdl.npy", TEXT)
        archive.writestr("physdl.npy", TEXT)
    refused(tmp_path, files.read_npz, buffer.getvalue(), "repeat")


def test_npz_with_an_entry_larger_than_the_file(tmp_path):
    content = stored(physdl=TEXT)
    size = len(TEXT).to_bytes(4, "little")
    assert content.count(size + size) == 2
    refused(
        tmp_path, files.read_npz, content.replace(size, (2**31).to_bytes(4, "little")), "overlap"
    )


def test_npz_truncated_or_flipped_anywhere(tmp_path):
    path = tmp_path / "h.npz"
    h = models.edwards_anderson(lattices.square(3, 3), field=0.2)
    files.write_npz(path, h)
    data = path.read_bytes()
    for n in np.linspace(1, len(data) - 1, 60, dtype=int):
        refused(tmp_path, files.read_npz, data[:n])
    rng = np.random.default_rng(1)
    refusals = 0
    for _ in range(400):
        damaged = bytearray(data)
        damaged[rng.integers(len(data))] ^= 1 << rng.integers(8)
        path.write_bytes(damaged)
        try:
            assert files.read_npz(path) == h
        except FormatError as error:
            assert "h.npz" in str(error)
            refusals += 1
    assert refusals > 200
