"""Options of the command line, made from the fields of a dataclass such as `transfer.look.Look`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, Field
from typing import Annotated, Any

import typer

from pydpst.transfer.options import options_of

# Said several times, as lists: REGION=0.5, REGION.
_LISTS = {"strength": "NUMBER or REGION=NUMBER", "lock": "REGION"}


def takes(settings: type) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Gives a command that takes `**options` those of a dataclass; what is not given is None."""

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        signature = inspect.signature(command, eval_str=True)
        own = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]
        added = [
            inspect.Parameter(
                name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=_typed(option)
            )
            for name, option in options_of(settings).items()
        ]
        command.__signature__ = signature.replace(parameters=[*own, *added])  # type: ignore[attr-defined]
        return command

    return decorate


def _typed(option: Field[Any]) -> Any:
    """An option as typer takes it."""
    kind: Any = {"int": int, "float": float, "bool": bool}.get(str(option.type).split(" ")[0], str)
    names = []
    text = option.metadata["help"]
    if option.name in _LISTS:
        kind = list[str]
        text += "; may be repeated"
    elif option.default is False:
        names = [f"--{option.name.replace('_', '-')}"]  # and no --no-…
    unset = option.default is False or option.default in (None, (), MISSING)
    info = typer.Option(
        *names,
        help=f"{text[0].upper()}{text[1:]}.",
        metavar=_LISTS.get(option.name),
        show_default=False if unset else str(option.default),
        rich_help_panel=option.metadata["group"],
    )
    return Annotated[kind | None, info]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, as the functions of Python take them."""
    found = {name: value for name, value in values.items() if value not in (None, [])}
    if "strength" in found:
        found["strength"] = _strength(found["strength"])
    return found


def _strength(values: list[str]) -> float | dict[str, float]:
    """One number, or numbers by region."""
    pairs = [value.rpartition("=") for value in values]
    try:
        if any(separator and not region.strip() for region, separator, _ in pairs):
            raise ValueError
        numbers = {region: float(number) for region, _, number in pairs}
    except ValueError:
        raise ValueError(
            f"--strength is {' '.join(values)}; it must be a number, or REGION=NUMBER."
        ) from None
    if "" not in numbers:
        return numbers
    if len(values) > 1:
        raise ValueError(
            f"--strength is {' '.join(values)}; it must be one number, or REGION=NUMBER for each."
        )
    return numbers[""]
