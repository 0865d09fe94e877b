"""The commands and their options."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from physdl import __version__
from physdl.cli import completion
from physdl.cli.times import duration
from physdl.errors import PhysdlError, UnknownNameError

__all__ = ["main"]

F = TypeVar("F", bound=Callable[..., Any])

EPILOG = """\b
Examples:
  physdl logz ising --lattice square --size 16x16 -p coupling=0.44
  physdl logz model.uai --evidence model.uai.evid --json
  physdl logz spinglass.txt -p beta=2 --method contraction --max-memory 8GiB
  physdl logz ising --size 64x64 -p coupling=0.44 --method mbar --budget 60s
  physdl logz model.uai --method compare --stderr 0.01
  physdl info model.uai
  physdl study ising --budget 2min --out report.html
  physdl sample ising --size 64x64 --kernel swendsen-wang --sweeps 5000
  physdl rg ising --size 8x8 -p coupling=0.3 --exponents --plot flow.png
  physdl compile phi4 --radius 1.5 --tolerance 1e-4
  physdl infer samples.npz --lattice square --out found.npz
  physdl reproduce --quick --out table.html
  physdl cite AIS rg.mcrg
"""


TABLE_HELP = "Also save the table here (.md, .html or .json)."
REPORT_HELP = "Where to save it, .html or .json; study-MODEL.html by default."
OUT_HELP = "Keep configurations here (.npz), up to 1000 in all."
MAP_HELP = "See: physdl maps."
PLOT_HELP = "Draw the flow (.png, .pdf, .svg)."
FOLDER_HELP = "Checkpoints: the same command goes on from there."
ACTIVATION_HELP = "softplus, tanh, silu, gelu, logistic or exp."
LAYOUT_HELP = "tree, grouped, flat or horner."
TOLERANCE_HELP = "Largest error in k_B T; the least possible by default."
INFER_HELP = """pseudolikelihood, maximum-likelihood, score-matching, or of spins naive, tap,
pairs, bethe, sessak-monasson."""
REACH_HELP = "Bonds between the sites of a monomial on --lattice."
FOUND_HELP = "Keep the Hamiltonian here (.npz): a MODEL for the other commands."
OUT_OF_MEMORY = "memory ran out: take a smaller model, or another --method."


class _Group(click.Group):
    """A group whose commands end a refused input with one sentence and exit code 2."""

    def main(self, *args: Any, **options: Any) -> Any:
        """Run, report what was refused, and leave with 0, 2, or 130 when interrupted."""
        options.update(prog_name="physdl", standalone_mode=False)
        try:
            sys.exit(super().main(*args, **options))
        except PhysdlError as error:
            refusal = str(error)
        except click.ClickException as error:
            refusal = _usage(error)
        except MemoryError:
            refusal = OUT_OF_MEMORY
        except RuntimeError as error:  # how jax says that memory is short
            if "RESOURCE_EXHAUSTED" not in str(error):
                raise
            refusal = OUT_OF_MEMORY
        except click.Abort:
            click.echo("physdl: interrupted.", err=True)
            sys.exit(130)
        click.echo(f"physdl: {refusal}", err=True)
        sys.exit(2)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            raise UnknownNameError("command", args[0], self.commands)
        return super().resolve_command(ctx, args)


def _usage(error: click.ClickException) -> str:
    """What click has to say about the words of a command, in one sentence."""
    context = getattr(error, "ctx", None)
    command = context.command_path if context else "physdl"
    said = " ".join(error.format_message().split()).rstrip(".")
    return f"{said[:1].lower()}{said[1:]}: see {command} --help."


@click.group(
    cls=_Group,
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"]},
    invoke_without_command=True,
)
@click.version_option(__version__, prog_name="physdl")
@click.pass_context
def main(context: click.Context) -> None:
    """Differentiable statistical mechanics: count, coarsen and learn Hamiltonians.

    MODEL is a file (.uai, .npz, or a weighted edge list) or the name of a model
    (see: physdl models).
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def _model_options(command: F) -> F:
    options = [
        click.argument("model", shell_complete=completion.models),
        click.option(
            "--lattice",
            help="Lattice of a named model, e.g. square.",
            shell_complete=completion.lattices,
        ),
        click.option("--size", help="Its size, e.g. 16x16 or 100."),
        click.option("--boundary", help="periodic or open, or one per axis: periodic,open."),
        click.option("-p", "--param", multiple=True, metavar="NAME=VALUE", help="Model parameter."),
        click.option("--evidence", metavar="FILE", help="UAI evidence file."),
        click.option(
            "--seed",
            type=click.IntRange(0, 2**32 - 1),
            default=0,
            show_default=True,
            help="Seed of random couplings and graphs.",
        ),
        click.option(
            "--precision",
            type=click.Choice(["float64", "float32"]),
            default="float64",
            show_default=True,
        ),
        click.option("--json", "as_json", is_flag=True, help="Print one JSON object."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def _budget_options(command: F) -> F:
    options = [
        click.option(
            "--method",
            default="auto",
            show_default=True,
            help="See: physdl methods.",
            shell_complete=completion.methods,
        ),
        click.option("--max-memory", default="4GiB", show_default=True, help="Such as 8GiB."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


@main.command()
@_model_options
@_budget_options
@click.option("--marginals", is_flag=True, help="Also the probabilities of every site's states.")
@click.option(
    "--budget",
    type=duration,
    metavar="TIME",
    help="Repeat and refine a sampled method for this time.",
)
@click.option(
    "--stderr",
    type=click.FloatRange(0, min_open=True),
    metavar="NATS",
    help="Repeat and refine a sampled method until this error.",
)
def logz(marginals: bool, **options: Any) -> None:
    """The logarithm of the partition function of MODEL."""
    from physdl.cli.logz import run

    run(marginals=marginals, **options)


@main.command()
@_model_options
def info(**options: Any) -> None:
    """What MODEL is: sites, space, terms, degree, parameters, which methods apply."""
    from physdl.cli.info import run

    run(**options)


@main.command()
@_model_options
@_budget_options
@click.option(
    "--budget",
    type=duration,
    metavar="TIME",
    default="60s",
    show_default=True,
    help="For the report.",
)
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help=REPORT_HELP)
def study(**options: Any) -> None:
    """A report on MODEL, and a page of it: structure, log Z, observables, flows, networks.

    What it is, log Z by every method that applies and whether they agree,
    observables, its flow under every renormalization map that has it, networks
    that stand for it. Ctrl-C ends it; what is there is saved.
    """
    from physdl.cli.study import run

    run(**options)


@main.command()
@_model_options
@click.option(
    "--kernel",
    default="auto",
    show_default=True,
    help="See: physdl kernels.",
    shell_complete=completion.kernels,
)
@click.option("-k", "--setting", multiple=True, metavar="NAME=VALUE", help="Setting of the kernel.")
@click.option("--sweeps", type=click.IntRange(1), default=10_000, show_default=True)
@click.option("--thin", type=click.IntRange(1), default=1, help="Sweeps between measurements.")
@click.option("--chains", type=click.IntRange(1), default=4, show_default=True)
@click.option("--warmup", type=click.IntRange(0), help="Sweeps to discard; a fifth by default.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help=OUT_HELP)
@click.option("--checkpoint", metavar="FOLDER", type=click.Path(path_type=Path), help=FOLDER_HELP)
@click.option("--every", type=click.IntRange(1), help="Sweeps between checkpoints.")
@click.option("--max-seconds", type=click.FloatRange(0), help="Stop after this time.")
def sample(**options: Any) -> None:
    """Observables of MODEL with errors, from a Markov chain."""
    from physdl.cli.sample import run

    run(**options)


@main.command()
@_model_options
@click.option(
    "--map",
    "name",
    default="migdal-kadanoff",
    show_default=True,
    help="See: physdl maps.",
    shell_complete=completion.maps,
)
@click.option("--scale", type=click.FloatRange(1, min_open=True), help="Length ratio of a step.")
@click.option("--steps", type=click.IntRange(1), default=8, show_default=True)
@click.option("--chi", type=click.IntRange(2), help="Bond dimension of maps of tensors; 16.")
@click.option("--cft", is_flag=True, help="Also conformal data, of maps of tensors.")
@click.option("--fixed-point", is_flag=True, help="Also the critical point and the fixed point.")
@click.option("--exponents", is_flag=True, help="Also the exponents there.")
@click.option(
    "--plot", metavar="FILE", type=click.Path(path_type=Path), help="Draw the flow (.png)."
)
def rg(**options: Any) -> None:
    """The flow of MODEL's couplings under a renormalization-group map."""
    from physdl.cli.rg import run

    run(**options)


@main.command()
@click.argument("samples", type=click.Path(path_type=Path))
@click.option("--method", default="pseudolikelihood", show_default=True, help=INFER_HELP)
@click.option("--space", help="What a site is: SPIN, BINARY, LINE, potts:3, levels:4, spin:1.")
@click.option("--family", metavar="MODEL", help="Only its monomials: a named model or a file.")
@click.option("--lattice", help="Only monomials of sites that are near on it, or of --family.")
@click.option("--size", help="Its size; that of the samples by default.")
@click.option("--boundary", help="periodic or open, or one per axis: periodic,open.")
@click.option("--degree", type=click.IntRange(1), default=2, show_default=True)
@click.option("--reach", type=click.IntRange(1), default=1, show_default=True, help=REACH_HELP)
@click.option("--l1", type=click.FloatRange(0), default=0.0, help="Drops needless couplings.")
@click.option("--l2", type=click.FloatRange(0), default=0.0, help="Holds what data leave free.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help=FOUND_HELP)
@click.option(
    "--precision", type=click.Choice(["float64", "float32"]), default="float64", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def infer(**options: Any) -> None:
    """The Hamiltonian that drew the file SAMPLES, with errors.

    SAMPLES is .npz of physdl sample --out, or .npy, .csv or .txt with a
    configuration a row.
    """
    from physdl.cli.infer import run

    run(**options)


@main.command()
@_model_options
@click.option("--activation", default="softplus", show_default=True, help=ACTIVATION_HELP)
@click.option("--layout", default="tree", show_default=True, help=LAYOUT_HELP)
@click.option("--tolerance", type=click.FloatRange(0, min_open=True), help=TOLERANCE_HELP)
@click.option("--radius", type=click.FloatRange(0, min_open=True), help="Bound of real variables.")
@click.option("--depth", type=click.IntRange(1), default=2, help="Layers of the layout grouped.")
def compile(**options: Any) -> None:
    """A network that computes the Hamiltonian of MODEL, and its cost."""
    from physdl.cli.compile import run

    run(**options)


@main.command()
@_model_options
@click.option("--block", default="majority", show_default=True, help="majority or decimation.")
@click.option("--scale", type=click.IntRange(2), default=2, show_default=True)
def audit(**options: Any) -> None:
    """Whether a block map renormalizes a small MODEL, and how."""
    from physdl.cli.audit import run

    run(**options)


@main.command()
@click.argument("names", nargs=-1, shell_complete=completion.published)
@click.option("--quick", is_flag=True, help="Only those that take less than ten seconds.")
@click.option("--subject", help="Only those of one subject, e.g. exact.")
@click.option("--list", "listed", is_flag=True, help="Say what there is and compute nothing.")
@click.option("--out", metavar="FILE", type=click.Path(path_type=Path), help=TABLE_HELP)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def reproduce(names: tuple[str, ...], **options: Any) -> None:
    """Published results, computed again: all of them, or those of NAMES.

    The exit code is 1 if one misses its published number.
    """
    from physdl.cli.reproduce import run

    run(names, **options)


@main.command()
@click.argument("methods", nargs=-1, required=True)
def cite(methods: tuple[str, ...]) -> None:
    """BibTeX of the papers behind METHODS, such as AIS or rg.mcrg, and of physdl."""
    from physdl.bibliography import bibtex

    click.echo(bibtex(*methods))


@main.command()
def maps() -> None:
    """The renormalization-group maps, one line each."""
    from physdl.cli.rg import listing

    click.echo(listing())


@main.command()
def models() -> None:
    """The named models, with the parameters they take by default."""
    from physdl.cli.named import listing

    click.echo(listing())


@main.command()
def methods() -> None:
    """The methods for log Z, one line each."""
    from physdl.report.methods import listing

    click.echo(listing())


@main.command()
def kernels() -> None:
    """The kernels that sample, one line each."""
    from physdl.cli.kernels import listing

    click.echo(listing())


@main.command(name="completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def shell_completion(shell: str) -> None:
    """What makes SHELL complete commands, options, models and methods.

    \b
    bash:  physdl completion bash >> ~/.bashrc
    zsh:   physdl completion zsh >> ~/.zshrc
    fish:  physdl completion fish > ~/.config/fish/completions/physdl.fish
    """
    click.echo(completion.script(main, shell))
