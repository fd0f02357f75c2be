"""The commands of the command line, a file each."""

import sys


def say(sentence: str) -> None:
    """Prints to stderr."""
    print(sentence, file=sys.stderr)
