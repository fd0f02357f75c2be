"""The command line: `pydpst stylize` and the others in `pydpst.commands`."""

from __future__ import annotations

import errno
import io
import logging
import os
import sys
import traceback
import warnings

import typer

from pydpst.commands import say, shown
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
    epilog="--debug, with any command, shows where an unexpected error comes from.",
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
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What decoders think of damaged photos; pydpst says it in its own words.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("tifffile").setLevel(logging.CRITICAL)
    warnings.formatwarning = lambda message, *_args, **_kwargs: f"warning: {shown(message)}\n"
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        if "" in arguments:
            raise ValueError("an argument is empty; give a path or a value, or leave it out.")
        app(arguments)
    except KeyboardInterrupt:
        say("interrupted")
        sys.exit(130)
    except Exception as error:
        if len(arguments) < len(sys.argv) - 1:
            traceback.print_exc()
        sentence, code = _told(error)
        say(f"error: {sentence}")
        sys.exit(code)


def _told(error: Exception) -> tuple[str, int]:
    """What went wrong, in a line, and the exit code."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError):
        return text, 2
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        name = os.fsdecode(error.filename)
        of_name = error.errno in (errno.ENAMETOOLONG, errno.ELOOP)
        return f"{name} cannot be used ({error.strerror}); give another.", 2 if of_name else 1
    if isinstance(error, ImportError | MemoryError | OSError | ArithmeticError) and text:
        return text, 1
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return "there is too little memory; give a smaller --size or smaller photos.", 1
    if "start new thread" in text:
        return "the system allows no more threads; end other programs, or raise its limit.", 1
    reason = text[:300] or type(error).__name__
    return f"this should not happen: {reason} (--debug shows where).", 1


if __name__ == "__main__":
    main()
