"""Options as the fields of a dataclass, which signatures, docstrings and commands are made of."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import Field, fields
from typing import Any, TypeVar

_Function = TypeVar("_Function", bound=Callable[..., Any])


def says(group: str, text: str) -> dict[str, str]:
    """The metadata of a field: where it belongs, and a sentence without capital and full stop."""
    return {"group": group, "help": text}


def options_of(settings: type) -> dict[str, Field[Any]]:
    """The fields of a dataclass, by name."""
    return {option.name: option for option in fields(settings)}


def takes(settings: type) -> Callable[[_Function], _Function]:
    """Gives a function that takes `**options` the fields of a dataclass for signature.

    Its docstring says where their words go with a line ``{options}``.
    """

    def decorate(function: _Function) -> _Function:
        signature = inspect.signature(function)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=option.default)
            for name, option in options_of(settings).items()
        ]
        words = [
            f"            {name}: {option.metadata['help']}."
            for name, option in options_of(settings).items()
        ]
        function.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        function.__doc__ = (function.__doc__ or "").replace("        {options}", "\n".join(words))
        return function

    return decorate
