"""What both tabs of the page are made of."""

from __future__ import annotations

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from pydpst.metrics.report import region_colors
from pydpst.page.runs import Outcome
from pydpst.page.session import Session
from pydpst.regions.mask_colors import SCENE_NAMES

HEX = ["#{:02x}{:02x}{:02x}".format(*color) for color in region_colors(SCENE_NAMES)]


def drop_area(role: str, label: str) -> gr.Image:
    """Where a photo is dropped."""
    return gr.Image(
        elem_id=role,
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        height=260,
        buttons=["fullscreen"],
    )


def comparison(name: str, label: str) -> gr.ImageSlider:
    """Before and after, under a slider; hidden until there is something to compare."""
    return gr.ImageSlider(
        elem_id=name,
        label=label,
        interactive=False,
        max_height=640,
        buttons=["fullscreen"],
        visible=False,
    )


def compared(before: Path, after: Path) -> Any:
    """What a comparison shows."""
    return gr.update(value=(before, after), visible=True)


def region_editor(role: str) -> gr.ImageEditor:
    """Where a photo's regions are shown and painted."""
    return gr.ImageEditor(
        elem_id=f"{role}-regions",
        label=role.capitalize(),
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=24, colors=[*HEX], color_mode="fixed"),
        format="png",
        buttons=["fullscreen"],
    )


def strokes_of(editor: dict[str, Any] | None) -> Any:
    """What was painted in an editor, or None."""
    return editor["layers"][0] if editor and editor["layers"] else None


def mask_area(role: str) -> gr.File:
    """Where a label map is dropped."""
    return gr.File(
        elem_id=f"{role}-mask", label=f"Mask of the {role}", file_types=["image"], height=120
    )


def on_photo(photo: gr.Image, role: str, session: gr.State) -> list[Any]:
    """Keeps what is dropped there, and shows it; the events, which others may follow."""

    def take(session: Session, upload: Path) -> Path:
        return session.take(role, upload).shown

    return _on_drop(photo, session, take, lambda session: session.drop(role), "Not a photo")


def on_mask(mask: gr.File, role: str, session: gr.State) -> list[Any]:
    """Keeps the label map that is dropped there; the events, as of `on_photo`."""

    def take(session: Session, upload: Path) -> Any:
        session.take_mask(role, upload)
        return gr.skip()

    return _on_drop(mask, session, take, lambda session: session.drop_mask(role), "Not a mask")


def _on_drop(
    area: gr.Image | gr.File,
    session: gr.State,
    take: Callable[[Session, Path], Any],
    drop: Callable[[Session], None],
    refused: str,
) -> list[Any]:
    """The events of an area: what is dropped is taken, and gives what the area then shows."""

    def taken(session: Session, upload: dict[str, Any]) -> tuple[Session, Any]:
        try:
            return session, take(session, Path(upload["path"]))
        except (ValueError, OSError, MemoryError) as error:
            # An error would leave the file where it was dropped.
            gr.Warning(sentence_of(error), title=refused, duration=20)
            return session, None

    def dropped(session: Session) -> Session:
        drop(session)
        return session

    # Without preprocessing, which would open the photo and turn it into another.
    upload = area.upload(taken, [session, area], [session, area], preprocess=False)
    return [upload, area.clear(dropped, session, session)]


def summary_of(outcome: Outcome) -> str:
    """What is said below a result."""
    width, height = outcome.size
    stopped = "Stopped; this is the best so far. " if outcome.interrupted else ""
    return f"{stopped}{outcome.path.name}: {width}×{height} pixels"


def shown_error(error: Exception) -> gr.Error:
    """An error as the page shows it."""
    return gr.Error(sentence_of(error), print_exception=False)


def sentence_of(error: Exception) -> str:
    """What is wrong, in a line of the page."""
    sentence = str(error).partition("\n")[0] or type(error).__name__
    return html.escape(sentence[:1].upper() + sentence[1:])
