"""The page: what a visitor sees, and what happens when they touch it. `serve` runs it."""

from __future__ import annotations

import html
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

# Gradio asks the internet for its newest version, and reports its use, unless told not to.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr

from pydpst.feedforward.models import styles
from pydpst.metrics.report import region_colors
from pydpst.page.session import Outcome, Preview, Session
from pydpst.regions.mask_colors import REGION_NAMES

_HEX = ["#{:02x}{:02x}{:02x}".format(*color) for color in region_colors(REGION_NAMES)]
_CSS = "footer { display: none } .toast-body { white-space: normal } " + " ".join(
    f".region-{name} {{ border-left: 12px solid {color} !important }}"
    for name, color in zip(REGION_NAMES, _HEX, strict=True)
)
# One run at a time, first come first served; what takes a second goes beside it.
_RUNS_AT_ONCE = 1
_SHORT_AT_ONCE = 2
_MOST_WAITING = 32
_LARGEST_UPLOAD = "1gb"
# Files that no session has deleted go after a day; looked for every hour.
_DELETE_CACHE = (3600, 86400)


def page(home: Path) -> gr.Blocks:
    """The page, to be served; a visitor's files are in a folder of their own in home."""
    blocks = gr.Blocks(
        title="pydpst", analytics_enabled=False, delete_cache=_DELETE_CACHE, fill_width=True
    )
    with blocks:
        # The state is deleted an hour after its tab is closed.
        session = gr.State(Session(home), delete_callback=Session.close)
        with gr.Tab("From a photo"):
            _from_a_photo(session)
        with gr.Tab("Bundled styles"):
            _bundled_styles(session)
    blocks.queue(default_concurrency_limit=_SHORT_AT_ONCE, max_size=_MOST_WAITING, api_open=False)
    return blocks


def _from_a_photo(session: gr.State) -> None:
    with gr.Row():
        content = _drop_area("content", "Content: the photo to restyle")
        style = _drop_area("style", "Style: the photo whose look it gets")
    with gr.Accordion("Regions: each is styled after the one of its colour", visible=False) as area:
        gr.Markdown("Paint over them with a region's colour to correct them; erase to undo.")
        with gr.Row():
            editors = [_editor("content"), _editor("style")]
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            strength = gr.Slider(0, 1, 1, step=0.05, label="Strength")
            photorealism = gr.Slider(
                0, 900, 225, step=25, label="Photorealism", info="0 paints; higher keeps the photo."
            )
            by_region = [
                gr.Slider(
                    0,
                    1,
                    1,
                    step=0.05,
                    label=f"Strength of {name}",
                    visible=False,
                    elem_classes=f"region-{name}",
                )
                for name in REGION_NAMES
            ]
            with gr.Row():
                size = gr.Slider(128, 2048, 768, step=64, label="Size", min_width=120)
                steps = gr.Slider(5, 300, 100, step=5, label="Steps", min_width=120)
        with gr.Column(scale=2):
            result = _comparison("result", "Content and result")
            status = gr.Markdown("Drop two photos to begin.", min_height=28)
            with gr.Row():
                run = gr.Button("Stylize", variant="primary", interactive=False)
                stop = gr.Button("Stop and keep", variant="stop", interactive=False)
                download = gr.DownloadButton("Download", interactive=False)

    shown_regions = [area, *editors, *by_region, status, run]

    def find(session: Session) -> list[Any]:
        regions = session.find_regions()
        if regions is None:
            hidden = [gr.update(visible=False) for _ in by_region]
            return [
                gr.update(visible=False),
                None,
                None,
                *hidden,
                "Drop two photos to begin.",
                gr.update(interactive=False),
            ]
        shares = [
            [float((labels == label).float().mean()) for labels in (regions.content, regions.style)]
            for label in range(len(regions.names))
        ]
        sliders = [
            gr.update(
                visible=True,
                value=1,
                info=f"{of_content:.0%} of the content, {of_style:.0%} of the style",
            )
            for name, (of_content, of_style) in zip(regions.names, shares, strict=True)
        ]
        hidden = [gr.update(visible=False, value=1)] * (len(by_region) - len(sliders))
        backgrounds: list[Any] = [
            {"background": overlay, "layers": [], "composite": None}
            for overlay in session.overlays()
        ]
        found = f"{len(sliders)} regions found." if len(sliders) > 1 else "One region found."
        return [
            gr.update(visible=True),
            *backgrounds,
            *sliders,
            *hidden,
            found,
            gr.update(interactive=True),
        ]

    for photo, role in ((content, "content"), (style, "style")):
        _on_photo(photo, role, session, find, shown_regions)

    def restyle(
        session: Session,
        content_strokes: Any,
        style_strokes: Any,
        strength: float,
        photorealism: float,
        size: float,
        steps: float,
        *by_region: float,
    ) -> Iterator[list[Any]]:
        running = [gr.update(interactive=False), gr.update(interactive=True)]
        ended = [gr.update(interactive=True), gr.update(interactive=False)]
        nothing = gr.update()
        yield [nothing, "Looking at the photos …", *running, gr.update(interactive=False)]
        strengths = {
            name: strength * share for name, share in zip(REGION_NAMES, by_region, strict=True)
        }
        try:
            regions, alone = session.paint([_layer(content_strokes), _layer(style_strokes)])
            before = session.photos["content"].shown
            if alone:
                gr.Info(f"Only one of the photos has {', '.join(alone)}: it is styled after none.")
            news = session.stylize(
                regions,
                strengths,
                photorealism_weight=photorealism,
                size=int(size),
                steps=int(steps),
            )
            for latest in news:
                if isinstance(latest, Preview):
                    told = f"Step {latest.step} of {latest.steps}"
                    yield [(before, latest.shown), told, *running, nothing]
                else:
                    yield [
                        (before, latest.shown),
                        _told(latest),
                        *ended,
                        gr.update(value=latest.path, interactive=True),
                    ]
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            yield [nothing, "", *ended, nothing]
            raise _error(error) from None

    run.click(
        restyle,
        [session, *editors, strength, photorealism, size, steps, *by_region],
        [result, status, run, stop, download],
        concurrency_limit=_RUNS_AT_ONCE,
        show_progress_on=status,
    )
    stop.click(Session.stop, session, queue=False)


def _bundled_styles(session: gr.State) -> None:
    with gr.Row():
        with gr.Column(scale=1, min_width=280):
            photo = _drop_area("photo", "Photo")
            names = list(styles())
            style = gr.Radio(names, value=names[0], label="Style")
            strength = gr.Slider(0, 2, 1, step=0.05, label="Strength")
            run = gr.Button("Apply", variant="primary", interactive=False)
        with gr.Column(scale=2):
            result = _comparison("applied", "Photo and result")
            status = gr.Markdown(min_height=28)
            download = gr.DownloadButton("Download", interactive=False)

    def apply(session: Session, style: str, strength: float) -> list[Any]:
        try:
            outcome = session.apply_style(style, strength)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            raise _error(error) from None
        before = session.photos["photo"].shown
        return [
            (before, outcome.shown),
            _told(outcome),
            gr.update(value=outcome.path, interactive=True),
        ]

    def ready(session: Session) -> Any:
        return gr.update(interactive="photo" in session.photos)

    _on_photo(photo, "photo", session, ready, run)
    run.click(
        apply, [session, style, strength], [result, status, download], show_progress_on=status
    )


def _drop_area(role: str, label: str) -> gr.Image:
    return gr.Image(
        elem_id=role,
        label=label,
        type="filepath",
        sources=["upload", "clipboard"],
        height=260,
        buttons=["fullscreen"],
    )


def _comparison(name: str, label: str) -> gr.ImageSlider:
    return gr.ImageSlider(
        elem_id=name, label=label, interactive=False, max_height=640, buttons=["fullscreen"]
    )


def _editor(role: str) -> gr.ImageEditor:
    return gr.ImageEditor(
        elem_id=f"{role}-regions",
        label=f"The {role}'s regions",
        sources=(),
        transforms=(),
        layers=False,
        brush=gr.Brush(default_size=24, colors=[*_HEX], color_mode="fixed"),
        format="png",
        buttons=["fullscreen"],
    )


def _on_photo(photo: gr.Image, role: str, session: gr.State, then: Any, outputs: Any) -> None:
    """Keeps what is dropped there, shows it, and goes on with `then`."""

    def take(session: Session, upload: dict[str, Any]) -> tuple[Session, Path | None]:
        try:
            return session, session.take(role, Path(upload["path"])).shown
        except (ValueError, OSError, MemoryError) as error:
            # An error would leave the broken photo where it was dropped.
            gr.Warning(_sentence(error), title="Not a photo", duration=20)
            return session, None

    def drop(session: Session) -> Session:
        session.drop(role)
        return session

    # Without preprocessing, which would open the photo and turn it into another.
    taken = photo.upload(take, [session, photo], [session, photo], preprocess=False)
    dropped = photo.clear(drop, session, session)
    for event in (taken, dropped):
        event.then(then, session, outputs)


def _layer(strokes: dict[str, Any] | None) -> Any:
    return strokes["layers"][0] if strokes and strokes["layers"] else None


def _told(outcome: Outcome) -> str:
    width, height = outcome.size
    stopped = "Stopped; this is the best so far. " if outcome.interrupted else ""
    return f"{stopped}{outcome.path.name}: {width}×{height} pixels"


def _sentence(error: Exception) -> str:
    sentence = str(error).partition("\n")[0] or type(error).__name__
    return html.escape(sentence[:1].upper() + sentence[1:])


def _error(error: Exception) -> gr.Error:
    return gr.Error(_sentence(error), print_exception=False)


def serve(host: str, port: int | None, tell: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C, and then deletes all that visitors left.

    Args:
        host: the address to listen at.
        port: None is the first that is free from 7860.
        tell: is given the page's address once it is there.

    Raises:
        OSError: if the port is taken, or the address is not this machine's.
    """
    # As Ctrl-C does, so that the files are deleted then, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    with tempfile.TemporaryDirectory(prefix="pydpst-ui-", ignore_cleanup_errors=True) as home:
        os.environ["GRADIO_TEMP_DIR"] = home
        blocks = page(Path(home))
        font = ["system-ui", "sans-serif"]
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                pwa=False,
                footer_links=[],
                max_file_size=_LARGEST_UPLOAD,
                theme=gr.themes.Base(
                    neutral_hue="neutral", font=font, font_mono=["ui-monospace", "monospace"]
                ),
                css=_CSS,
                quiet=True,
                prevent_thread_lock=True,
            )
        except OSError:
            ports = f"port {port}" if port else "any port from 7860 to 7959"
            raise OSError(
                f"{host} cannot be listened at on {ports}; choose another --port, or for --host an "
                "address of this machine."
            ) from None
        tell(address)
        with suppress(KeyboardInterrupt):
            threading.Event().wait()
