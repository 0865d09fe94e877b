"""What every picture must do. Add a row to PICTURES of drawn.py; write no new test here."""

import itertools
import subprocess
import sys

import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from plotting.drawn import PICTURES

from physdl import plotting
from physdl.errors import MissingDependencyError, SettingError
from physdl.plotting._axes import COLOURS, GREY, PAGES

matplotlib.use("Agg")
each_picture = pytest.mark.parametrize("name", PICTURES)
each_page = pytest.mark.parametrize("dark", [False, True, None])


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def test_every_picture_is_here():
    functions = {n for n in dir(plotting) if callable(getattr(plotting, n))}
    assert functions - {"new_axes", "style"} == set(PICTURES)


@each_picture
def test_axes_given_are_axes_returned(name):
    ax = plotting.new_axes()
    assert PICTURES[name](ax) is ax
    assert not plt.get_fignums()


@each_picture
def test_axes_are_made_where_none_are_given(name):
    ax = PICTURES[name](None)
    assert plt.get_fignums() and ax.figure is plt.gcf()
    assert ax.has_data()


@each_picture
@each_page
def test_nothing_is_clipped_and_no_legend_lies_over_data(name, dark, tmp_path):
    with plotting.style(dark=dark):
        ax = PICTURES[name](None)
        ax.figure.savefig(tmp_path / f"{name}.png", dpi=60)
    ax.figure.canvas.draw()
    page, renderer = ax.figure.bbox, ax.figure.canvas.get_renderer()
    for seen in ax.figure.axes:
        texts = [seen.xaxis.label, seen.yaxis.label]
        if seen.get_legend():
            box = seen.get_legend().get_window_extent(renderer)
            assert box.y0 >= seen.get_window_extent(renderer).y1 - 1
            texts += seen.get_legend().get_texts()
        for axis, limits in ((seen.xaxis, seen.get_xlim()), (seen.yaxis, seen.get_ylim())):
            shown = zip(axis.get_majorticklocs(), axis.get_ticklabels(), strict=True)
            texts += [t for at, t in shown if min(limits) <= at <= max(limits)]
        for text in texts:
            if text.get_text() and text.get_visible():
                box = text.get_window_extent(renderer)
                assert box.x0 >= page.x0 - 1 and box.x1 <= page.x1 + 1, text.get_text()
                assert box.y0 >= page.y0 - 1 and box.y1 <= page.y1 + 1, text.get_text()


@each_picture
def test_what_is_no_axes_is_refused(name):
    with pytest.raises(SettingError, match="one matplotlib Axes, got list"):
        PICTURES[name]([])


def test_importing_physdl_plotting_imports_no_matplotlib():
    code = "import sys, physdl.plotting; sys.exit(any(m in sys.modules for m in ('matplotlib',)))"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_missing_matplotlib_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingDependencyError, match="pip install matplotlib"):
        plotting.new_axes()


def test_a_style_ends_with_its_block():
    before = plt.rcParams.copy()
    with plotting.style(dark=True):
        assert plt.rcParams["figure.facecolor"] == "#121212"
    assert plt.rcParams == before


def linear(colour):
    c = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


SRGB_TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]  # IEC 61966-2-1
)


def lightness_and_blue_yellow(colour):
    """L* and b* of CIE 1976, the plane that is left without red and green."""
    x = SRGB_TO_XYZ @ linear(colour) / SRGB_TO_XYZ.sum(axis=1)
    f = np.where(x > (6 / 29) ** 3, np.cbrt(x), x / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 200 * (f[1] - f[2])])


def contrast(a, b):
    """Of WCAG 2.2."""
    low, high = sorted(float(SRGB_TO_XYZ[1] @ linear(c)) for c in (a, b))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
def test_colours_stand_out_on_every_page(colour):
    assert contrast(colour, PAGES[False][0]) > 3 and contrast(colour, PAGES[True][0]) > 3


def test_colours_differ_without_red_and_green():
    seen = map(lightness_and_blue_yellow, COLOURS)
    assert min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2)) > 14
