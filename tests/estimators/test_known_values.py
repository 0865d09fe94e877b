"""Exact methods against published and closed-form numbers."""

import json
import math
import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import pytest

from physdl import estimators, files, lattices, models, reference

# Kaufman's formula evaluated with mpmath to 30 digits, ln Z of L x L tori at K_c.
CRITICAL = 0.5 * math.log1p(math.sqrt(2))
KAUFMAN = {4: 15.5219154587552831938275, 6: 34.11154105498624869020489, 8: 60.14178078906915340731}
DATA = pathlib.Path(
    os.environ.get("PHYSDL_DATA", pathlib.Path(__file__).parents[2] / ".." / "shared" / "data")
)
UAI = DATA / "uai"
NAMES = [
    "CSP_11", "DBN_11", "Grids_11", "Grids_13", "Grids_15",
    "Pedigree_11", "Promedus_11", "Segmentation_11", "Segmentation_12",
]  # fmt: skip


@pytest.mark.parametrize("length", [4, 6, 8])
@pytest.mark.parametrize("method", [estimators.TransferMatrix(), estimators.Contraction()])
def test_critical_torus(length, method):
    h = models.ising(lattices.square(length, length), CRITICAL)
    assert float(method(h).log_z) == pytest.approx(KAUFMAN[length], rel=1e-13)


@pytest.mark.parametrize("shape", [(4, 4), (3, 5)])
@pytest.mark.parametrize("coupling", [0.2, 0.35, 0.5, 0.9, -0.3])
def test_kaufman_and_three_methods_agree(shape, coupling):
    h = models.ising(lattices.square(*shape), coupling)
    exact = float(reference.kaufman_log_z(*shape, coupling))
    for method in (
        estimators.Enumeration(),
        estimators.TransferMatrix(),
        estimators.Contraction(),
    ):
        assert float(method(h).log_z) == pytest.approx(exact, rel=1e-12)


def test_anisotropic_torus():
    h = models.ising(lattices.square(4, 5), np.array([0.3, 0.5]))
    exact = {float(reference.kaufman_log_z(4, 5, *k)) for k in ((0.3, 0.5), (0.5, 0.3))}
    assert min(abs(float(estimators.TransferMatrix()(h).log_z) - v) for v in exact) < 1e-11


@pytest.mark.skipif(not UAI.is_dir(), reason=f"no UAI models found (PHYSDL_DATA={DATA})")
@pytest.mark.parametrize("name", NAMES)
def test_uai_competition_models(name):
    published = json.loads((UAI / "log10_z.json").read_text())[name]
    h = files.read_uai(UAI / f"{name}.uai")
    h = h.condition(files.read_evidence(UAI / f"{name}.uai.evid"))
    log10_z = float(estimators.Auto()(h).log_z) / math.log(10)
    digits = len(repr(published).split(".")[1])
    assert abs(log10_z - published) <= 0.501 * 10**-digits


def test_long_strip_approaches_its_largest_eigenvalue():
    length, k = 2000, 0.4
    h = models.ising(lattices.square(length, 3), k)
    states = np.array(np.meshgrid(*[[-1, 1]] * 3, indexing="ij")).reshape(3, -1).T
    inside = k * np.sum(states * np.roll(states, 1, axis=1), axis=1)
    matrix = np.exp(k * states @ states.T + (inside[:, None] + inside[None, :]) / 2)
    exact = np.log(np.sum((np.linalg.eigvalsh(matrix) / np.linalg.norm(matrix, 2)) ** length))
    exact += length * np.log(np.linalg.norm(matrix, 2))
    assert float(estimators.TransferMatrix()(h).log_z) == pytest.approx(exact, rel=1e-12)


def test_gaussian_field_against_quadrature():
    h = models.gaussian(lattices.chain(2, periodic=False), r=0.4, gradient=0.7, field=0.3)
    x, w = np.polynomial.hermite_e.hermegauss(80)
    grid = np.stack(np.meshgrid(x, x, indexing="ij"), -1).reshape(-1, 2)
    weight = np.outer(w, w).reshape(-1) * np.exp(np.sum(grid**2, axis=1) / 2)
    z = np.sum(weight * np.exp(-np.asarray(jax.vmap(h)(grid))))
    assert float(estimators.Gaussian()(h).log_z) == pytest.approx(math.log(z), rel=1e-10)


def test_unstable_gaussian_diverges():
    out = estimators.Gaussian()(models.gaussian(lattices.chain(4), r=-1.0))
    assert float(out.log_z) == np.inf
    assert estimators.Status(int(out.status)) is estimators.Status.DIVERGENT


def test_importing_the_command_line_does_not_import_jax():
    code = "import sys, physdl.cli; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
