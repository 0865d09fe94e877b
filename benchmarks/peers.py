"""How fast beside what: the ratios of RESULTS.md as one figure.

    python benchmarks/peers.py

Every number is read beside the words it stands with in RESULTS.md, so the figure cannot say
anything else. Writes docs/images/peers.png.
"""

import re
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt

HERE = Path(__file__).parent
PICTURE = HERE.parent / "docs" / "images" / "peers.png"

# What is compared, and where its ratio stands ("R" is the number): of wall times, or of CPU times
# where RESULTS.md has those alone.
RATIOS = {
    "packed spins / thrml": "So R times thrml in wall time",
    "packed spins / peapods": "and R times peapods",
    "packed glass / thrml": "\nR times thrml in wall time, 32",
    "phi4 HMC float32 / blackjax": "| float32 | 107 000 | 54 600 | R wall",
    "phi4 HMC float64 / blackjax": "| float64 | 50 100 | 26 400 | R wall",
    "AIS of an RBM / rbms": "| 3.16 s | R times ours",
    "population annealing / blackjax": "| 9.02 s | R times ours",
    "TRG / numpy": "| 1.05e-6 | R times ours",
    "TRG / tenax": "| 2.3e-3 | R and 14.6",
    "torus TRG / quimb": "| 8.5e-6 | R and 90 times ours",
    "LayerSum 2^20 / numpy": "| 1414 ms: R times",
    "variational network / torch": "53.4 ms in torch: R times",
    "PCD step / rbms": "takes 1 / R of the time",
}


def ratios() -> dict[str, float]:
    text = HERE.joinpath("RESULTS.md").read_text()
    found = {}
    for name, words in RATIOS.items():
        match = re.search(re.escape(words).replace("R", r"(\d+(?:\.\d+)?)", 1), text)
        if match is None:
            raise SystemExit(f"RESULTS.md does not say {words!r} any more")
        found[name] = float(match[1])
    # quimb is faster than ours on this one, by the ratio that stands there
    slower = re.search(r"ours takes (\d\.\d) times quimb's CPU time", text)
    if slower is None:
        raise SystemExit("RESULTS.md does not compare with quimb any more")
    found["contraction / quimb (CPU)"] = 1 / float(slower[1])
    return dict(sorted(found.items(), key=lambda item: item[1]))


def main() -> None:
    found = ratios()
    figure, ax = plt.subplots(figsize=(7, 4.2), layout="constrained")
    colours = ["tab:blue" if ratio >= 1 else "tab:red" for ratio in found.values()]
    bars = ax.barh(list(found), [r - 1 for r in found.values()], left=1, color=colours)
    ax.bar_label(bars, [f"{r:.3g}" for r in found.values()], padding=3)
    ax.axvline(1, color="0.3", lw=0.8)
    ax.set(xscale="log", xlabel="time of the peer / time of physdl", xlim=(0.2, 500))
    ax.spines[["top", "right"]].set_visible(False)
    figure.savefig(PICTURE, dpi=150)


if __name__ == "__main__":
    main()
