"""The commands of the command line, a file each."""

import sys
from collections.abc import Sequence
from pathlib import Path


def say(sentence: str) -> None:
    """Prints to stderr."""
    print(sentence, file=sys.stderr)


def check_paths(inputs: Sequence[Path], output: Path, other: Path | None, option: str) -> None:
    """Refuses outputs that are also inputs or one another.

    Args:
        inputs: what is read.
        output: what --output says.
        other: what another option says, if it is given.
        option: the name of that one, such as "--compare".

    Raises:
        ValueError: with a sentence that names the path.
    """
    if other is not None and other.resolve() == output.resolve():
        raise ValueError(f"--output and {option} are both {output}; they must differ.")
    for path in filter(None, (output, other)):
        if path.resolve() in [read.resolve() for read in inputs]:
            raise ValueError(f"the output {path} is also an input; choose another name for it.")
