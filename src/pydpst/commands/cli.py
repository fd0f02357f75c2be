"""The command line: `pydpst stylize` and the others in `pydpst.commands`."""

from __future__ import annotations

import atexit
import errno
import gc
import io
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import Annotated, Any

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
from pydpst.commands.typed import as_typed
from pydpst.commands.ui import ui

# At the end of a command's help.
_EXAMPLES = {
    "stylize": "Examples:\n\npydpst stylize day.jpg night.jpg -o result.jpg\n\n"
    "pydpst stylize holiday/ night.jpg -o restyled/ --strength 0.7 --lock person",
    "apply": "Examples:\n\npydpst apply dusk photo.jpg -o result.jpg\n\n"
    "pydpst apply --style night.jpg holiday/ -o restyled/",
    "segment": "Examples:\n\npydpst segment day.jpg night.jpg -o masks/\n\n"
    "pydpst segment day.jpg night.jpg -o masks/ --size 512 --regions clusters",
    "evaluate": "Examples:\n\npydpst evaluate day.jpg night.jpg result.jpg\n\n"
    "pydpst evaluate day.jpg night.jpg result.jpg --report result.html",
    "train": "Examples:\n\npydpst train night.jpg photos/ -o night.safetensors\n\n"
    "pydpst train --universal photos/ -o looks.safetensors",
    "export": "Examples:\n\npydpst export dusk --cube dusk.cube --photos photo.jpg\n\n"
    "pydpst export night.safetensors -o night.onnx",
    "fit": "Examples:\n\npydpst fit before.jpg after.jpg -o look.cube\n\n"
    "pydpst fit before.tif after.tif -o look.cube --size 65",
    "matte": "Examples:\n\npydpst matte photo.jpg trimap.png -o alpha.png\n\n"
    "pydpst matte photo.jpg trimap.png -o alpha.png --cutout cut.png",
    "styles": "Examples:\n\npydpst styles\n\npydpst apply dusk photo.jpg -o result.jpg",
    "info": "Examples:\n\npydpst info\n\nPYDPST_CPU=avx2 pydpst info",
    "ui": "Examples:\n\npydpst ui\n\npydpst ui --host 0.0.0.0 --port 8000",
}

app = typer.Typer(
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
    app.command(epilog=_EXAMPLES.get(command.__name__))(command)


def _show_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"pydpst {version('pydpst')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Photo style transfer that stays a photo."""


def main() -> None:
    """Runs the command line; exits with 2 on bad input, 1 on other failures, 130 on Ctrl-C."""
    # Threads that spin while they wait take the processor from whatever else runs, and from one
    # another where it has fewer cores than they think. Read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    # Otherwise Python looks through all of torch for garbage when it ends, a quarter of a second.
    atexit.register(gc.freeze)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    # What decoders think of damaged photos; pydpst says it in its own words.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    for decoder in ("tifffile", "imagecodecs"):
        logging.getLogger(decoder).setLevel(logging.CRITICAL)
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
        sentence, code = _told(error, arguments)
        say(f"error: {sentence}")
        sys.exit(code)


def _told(error: Exception, arguments: Sequence[str]) -> tuple[str, int]:
    """What went wrong, in a line, and the exit code."""
    text = " ".join(str(error).split())
    if isinstance(error, ValueError):
        return as_typed(text, _options_of(arguments), arguments), 2
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        name = os.fsdecode(error.filename)
        of_name = error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTDIR)
        return f"{name} cannot be used ({error.strerror}); give another.", 2 if of_name else 1
    if isinstance(error, ImportError | MemoryError | OSError | ArithmeticError) and text:
        return text, 1
    if isinstance(error, MemoryError) or "allocate memory" in text:
        return "there is too little memory; give a smaller --size or smaller photos.", 1
    if "start new thread" in text:
        return "the system allows no more threads; end other programs, or raise its limit.", 1
    reason = text[:300] or type(error).__name__
    return f"this should not happen: {reason} (--debug shows where).", 1


def _options_of(arguments: Sequence[str]) -> list[Any]:
    """The options of the command that was typed."""
    command: Any = typer.main.get_command(app)
    found = command.commands.get(next((a for a in arguments if a[:1] != "-"), ""))
    return [] if found is None else [p for p in found.params if p.param_type_name == "option"]


if __name__ == "__main__":
    main()
