"""What both tabs of the page are made of."""

from __future__ import annotations

import html
from collections.abc import Iterator
from contextlib import contextmanager
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

    def take(session: Session, upload: dict[str, Any]) -> tuple[Session, Path | None]:
        with _said("Not a photo"):
            return session, session.take(role, Path(upload["path"])).shown
        return session, None

    def drop(session: Session) -> Session:
        session.drop(role)
        return session

    # Without preprocessing, which would open the photo and turn it into another.
    taken = photo.upload(take, [session, photo], [session, photo], preprocess=False)
    return [taken, photo.clear(drop, session, session)]


def on_mask(mask: gr.File, role: str, session: gr.State) -> list[Any]:
    """Keeps the label map that is dropped there; the events, as of `on_photo`."""

    def take(session: Session, upload: dict[str, Any]) -> tuple[Session, Any]:
        with _said("Not a mask"):
            session.take_mask(role, Path(upload["path"]))
            return session, gr.skip()
        return session, None

    def drop(session: Session) -> Session:
        session.drop_mask(role)
        return session

    taken = mask.upload(take, [session, mask], [session, mask], preprocess=False)
    return [taken, mask.clear(drop, session, session)]


@contextmanager
def _said(title: str) -> Iterator[None]:
    """Says what is wrong with a file; an error would leave it where it was dropped."""
    try:
        yield
    except (ValueError, OSError, MemoryError) as error:
        gr.Warning(sentence_of(error), title=title, duration=20)


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
