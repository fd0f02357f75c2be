"""The command line: `pydpst stylize` and the others in `pydpst.commands`."""

from __future__ import annotations

import logging
import os
import sys
import warnings

import typer

from pydpst.commands import say
from pydpst.commands.apply import apply, styles
from pydpst.commands.evaluate import evaluate
from pydpst.commands.export import export
from pydpst.commands.fit import fit
from pydpst.commands.info import info
from pydpst.commands.matte import matte
from pydpst.commands.segment import segment
from pydpst.commands.stylize import stylize
from pydpst.commands.train import train
from pydpst.commands.ui import ui

app = typer.Typer(
    help="Photo style transfer that stays a photo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (
    stylize,
    segment,
    evaluate,
    train,
    apply,
    styles,
    export,
    fit,
    matte,
    ui,
    info,
):
    app.command()(command)


def main() -> None:
    """Runs the command line; exits with 2 on bad input, 1 on other failures, 130 on Ctrl-C."""
    # Threads that spin while they wait take the processor from whatever else runs, and from one
    # another where it has fewer cores than they think. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # What decoders think of damaged photos; pydpst says it in its own words.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"warning: {message}\n"
    try:
        app()
    except ValueError as error:
        say(f"error: {error}")
        sys.exit(2)
    except (ImportError, MemoryError, OSError, ArithmeticError) as error:
        say(f"error: {error}")
        sys.exit(1)


if __name__ == "__main__":
    main()
