"""Sentences of the Python functions, with options as they are typed on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any


def as_typed(sentence: str, options: Iterable[Any], arguments: Sequence[str]) -> str:
    """A sentence with ``--style-weight`` where Python's says ``style_weight``.

    Names that are ordinary words, such as size, are only taken for the option where the sentence
    begins with them and the option was typed.

    Args:
        sentence: what went wrong.
        options: those of the command, as click holds them.
        arguments: what was typed.
    """
    given = {argument.split("=")[0] for argument in arguments}
    for option in options:
        typed = max(option.opts, key=len)
        name = typed.removeprefix("--").replace("-", "_")
        if not typed.startswith("--"):
            continue
        if "_" in name:
            # Not within the name of a file.
            spelt = f"{name}|(?:(?:the|a) )?{name.replace('_', ' ')}"
            sentence = re.sub(rf"(?<![\w./\\-])(?:{spelt})(?![\w./\\-])", typed, sentence)
        elif given & set(option.opts):
            sentence = re.sub(rf"^(the )?{name} is (?!no )", f"{typed} is ", sentence)
    return sentence
