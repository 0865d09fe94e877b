"""The command line: ``physdl logz``, ``info``, ``study``, ``sample`` and the lists of names.

The commands parse text and print results; what they compute, the package computes. Nothing here
imports jax before a command runs, so help is immediate. A refused input ends with one sentence on
standard error and exit code 2.
"""

from physdl.cli.main import main as main

__all__ = ["main"]
