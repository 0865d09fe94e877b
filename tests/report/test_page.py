"""The page: self-contained, accessible, and looked at by a browser where there is one."""

import re
import shutil
import subprocess
from html.parser import HTMLParser

import jax
import matplotlib.image
import numpy as np
import pytest

from physdl import estimators, lattices, models, report
from physdl.report.approximations import compiled, variational
from physdl.report.flows import fixed_point_of, flow_of
from physdl.report.page import page

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)


@pytest.fixture(scope="module")
def text():
    """A report put together by hand, so that no part depends on how fast the machine is."""
    h = models.ising(lattices.square(3, 3), 0.3)
    exact = estimators.Enumeration()(h)
    sampled = estimators.AIS()(h, key=jax.random.key(0))
    at = report.MAPS["migdal-kadanoff"][0](h, None)
    seen = report.Study(
        h,
        identity=report.identify(h),
        rows=(
            report.Row("enumeration", exact, exact.method, 0.1),
            report.Row("ais", sampled, sampled.method, 0.1),
            report.Row("planar", None, "it has a <field>.", 0.0),
            variational(h, seconds=1.0, key=jax.random.key(1)),
        ),
        mean_energy=-5.0,
        specific_heat=3.0,
        measured=report.measure(h, seconds=60.0, key=jax.random.key(2))[0],
        flows={
            "migdal-kadanoff": {"couplings": list(at.names)} | flow_of(at, 3) | fixed_point_of(at)
        },
        network=compiled(h),
        complete=True,
    )
    return page(seen, "nine <spins> & more")


class Seen(HTMLParser):
    """What a page is made of."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.links, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.tags.append((tag, given))
        self.links += [given[k] for k in ("src", "srcset", "href") if k in given]
        if tag not in ("meta", "img", "source", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_it_is_one_file_without_scripts(text):
    seen = Seen(text)
    assert seen.open == []
    assert all(link.startswith("data:image/svg+xml;base64,") for link in seen.links)
    assert not {tag for tag, _ in seen.tags} & {"script", "link", "iframe"}
    assert "<h1>nine &lt;spins&gt; &amp; more</h1>" in text


def test_every_part_is_there_and_every_picture_has_a_text(text):
    pictures = [given for tag, given in Seen(text).tags if tag == "img"]
    assert len(pictures) == 3 and all(len(p["alt"]) > 20 for p in pictures)
    heads = re.findall(r"<h2>(.*?)</h2>", text)
    assert heads == ["What it is", "log Z", "Observables", "Renormalization",
                     "Networks that stand for it"]  # fmt: skip
    for words in ("spin flip", "methods with an error agree", "variational bound", "critical at"):
        assert words in text


def test_a_partial_report_is_a_page_too():
    h = models.ising(lattices.square(3, 3), 0.3)
    shown = page(report.Study(h))
    assert "not complete" in shown and Seen(shown).open == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium here")
@pytest.mark.parametrize(("width", "dark"), [(1200, False), (1200, True), (390, False)])
def test_a_browser_shows_it(text, width, dark, tmp_path):
    """Dark is dark, nothing is wider than the window, and the console stays empty."""
    probe = (
        "<script>addEventListener('load', () => document.body.insertAdjacentHTML('beforeend', "
        "`<i id=probe>${document.documentElement.scrollWidth} ${innerWidth} "
        "${[...document.images].every(i => i.naturalWidth > 0)}</i>`))</script>"
    )
    path, shot = tmp_path / "page.html", tmp_path / "page.png"
    path.write_text(text.replace("</body>", f"{probe}</body>"), encoding="utf-8")
    options = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
               "--enable-logging=stderr", f"--window-size={width},1400",
               f"--user-data-dir={tmp_path / 'profile'}"]  # fmt: skip
    options += ["--blink-settings=preferredColorScheme=0"] if dark else []
    for last in (f"--screenshot={shot}", "--dump-dom"):
        done = subprocess.run(
            [*options, last, path.as_uri()], capture_output=True, text=True, timeout=120, check=True
        )
        assert "CONSOLE" not in done.stderr
    wide, inner, loaded = re.search(r'id="probe">(\d+) (\d+) (\w+)<', done.stdout).groups()
    assert loaded == "true" and int(wide) <= int(inner)
    picture = matplotlib.image.imread(shot)[..., :3]
    ground = np.median(picture.reshape(-1, 3), axis=0)
    assert (ground.max() < 0.2) if dark else (ground.min() > 0.9)
    assert picture.std() > 0.03
