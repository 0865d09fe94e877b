"""``python -m physdl`` is the command line."""

from physdl.cli import main

main()
