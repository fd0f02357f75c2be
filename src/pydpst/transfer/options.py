"""Options as the fields of a dataclass, which signatures, docstrings and commands are made of."""

from __future__ import annotations

import inspect
import reprlib
from collections.abc import Callable, Mapping
from dataclasses import Field, fields
from numbers import Integral, Real
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


def check_types(settings: Any) -> None:
    """Refuses values of a dataclass that are of another type than their fields.

    Raises:
        ValueError: with a sentence that names the field.
    """
    for option in fields(settings):
        value, kinds = getattr(settings, option.name), str(option.type).split(" | ")
        if not any(_is_of(value, kind) for kind in kinds):
            words = [_WORDS[kind] for kind in kinds if kind in _WORDS]
            shown = reprlib.repr(value)
            raise ValueError(f"{option.name} is {shown}; it must be {' or '.join(words)}.")


# What types are called.
_WORDS = {
    "bool": "true or false",
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "Mapping[str, float]": "a number by region",
    "Sequence[str]": "a list of names",
}


def _is_of(value: Any, kind: str) -> bool:
    number = isinstance(value, Real) and not isinstance(value, bool)
    if kind == "float":
        return number
    if kind == "int":
        return number and isinstance(value, Integral)
    if kind == "Mapping[str, float]":
        return isinstance(value, Mapping) and all(
            isinstance(name, str) and _is_of(one, "float") for name, one in value.items()
        )
    if kind == "Sequence[str]":
        return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
    return type(value).__name__ == {"None": "NoneType"}.get(kind, kind)
