"""Run the notebooks (jupytext percent scripts) and fail when one fails or draws no picture.

python notebooks/run.py [--quick] [NAME...] runs all, or those whose names begin so, one on each
core; --quick sets PHYSDL_QUICK=1 for smaller sizes.
"""

import argparse
import os
import pathlib
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import jupytext
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).parent


def execute(path: pathlib.Path) -> tuple[int, int, float]:
    """The number of cells and of pictures of a notebook, and the seconds it took."""
    start = time.perf_counter()
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=1200, kernel_name="python3").execute()
    outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
    pictures = sum("image/png" in o.get("data", {}) for o in outputs)
    return len(notebook.cells), pictures, time.perf_counter() - start


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=[""])
    parser.add_argument("--quick", action="store_true")
    arguments = parser.parse_args()
    if arguments.quick:
        os.environ["PHYSDL_QUICK"] = "1"
    os.environ.pop("MPLBACKEND", None)
    paths = [p for p in sorted(HERE.glob("[0-9]*.py")) if p.name.startswith(tuple(arguments.names))]
    bare = []
    with ProcessPoolExecutor(os.cpu_count()) as pool:
        for path, (cells, pictures, seconds) in zip(paths, pool.map(execute, paths), strict=True):
            print(f"{path.name}: {cells} cells, {pictures} pictures, {seconds:.0f} s", flush=True)
            if not pictures:
                bare.append(path.name)
    if bare:
        print(f"without a picture: {', '.join(bare)}")
    return 1 if bare or not paths else 0


if __name__ == "__main__":
    sys.exit(main())
