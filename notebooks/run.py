"""Run the notebooks (jupytext percent scripts) and fail when one fails or draws no picture.

python notebooks/run.py [--quick] sets PHYSDL_QUICK=1 for smaller sizes.
"""

import os
import pathlib
import sys

import jupytext
from nbclient import NotebookClient

HERE = pathlib.Path(__file__).parent


def main() -> int:
    if "--quick" in sys.argv:
        os.environ["PHYSDL_QUICK"] = "1"
    os.environ.pop("MPLBACKEND", None)
    for path in sorted(HERE.glob("[0-9]*.py")):
        notebook = jupytext.read(path)
        NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
        outputs = [o for c in notebook.cells for o in c.get("outputs", [])]
        pictures = sum("image/png" in o.get("data", {}) for o in outputs)
        print(f"{path.name}: {len(notebook.cells)} cells, {pictures} pictures")
        if not pictures:
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
