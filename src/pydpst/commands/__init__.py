"""The commands of the command line, a file each."""

import sys

# Files that stand for standard input and output, and what is said in their place.
shown_as: dict[str, str] = {}


def shown(text: object) -> str:
    """A sentence or a path in the caller's words."""
    words = str(text)
    for file, name in shown_as.items():
        words = words.replace(file, name)
    return words


def say(sentence: str) -> None:
    """Prints to stderr."""
    print(shown(sentence), file=sys.stderr)
