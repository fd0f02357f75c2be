"""The tab in which a photo gets a bundled style."""

from __future__ import annotations

from typing import Any

import gradio as gr

from pydpst.feedforward.bundled import styles
from pydpst.page.session import Session
from pydpst.page.widgets import compared, comparison, drop_area, on_photo, shown_error, summary_of


class StylesTab:
    """Its components, and what happens when they are touched."""

    def __init__(self, session: gr.State) -> None:
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                photo = drop_area("photo", "Photo")
                names = list(styles())
                style = gr.Radio(names, value=names[0], label="Style")
                strength = gr.Slider(0, 2, 1, step=0.05, label="Strength")
                self.run = gr.Button("Apply", variant="primary", interactive=False)
            with gr.Column(scale=2):
                self.result = comparison("applied", "Photo and result")
                self.status = gr.Markdown(min_height=28)
                self.download = gr.DownloadButton("Download", interactive=False)
        for event in on_photo(photo, "photo", session):
            event.then(self.ready, session, self.run)
        self.run.click(
            self.apply,
            [session, style, strength],
            [self.result, self.status, self.download],
            show_progress_on=self.status,
        )

    def ready(self, session: Session) -> Any:
        """Lets the button be pressed once there is a photo."""
        return gr.update(interactive="photo" in session.photos)

    def apply(self, session: Session, style: str, strength: float) -> dict[Any, Any]:
        """Restyles the photo."""
        try:
            outcome = session.apply_style(style, strength)
        except (ValueError, OSError, MemoryError, RuntimeError) as error:
            raise shown_error(error) from None
        return {
            self.result: compared(session.photos["photo"].shown, outcome.shown),
            self.status: summary_of(outcome),
            self.download: gr.update(value=outcome.path, interactive=True),
        }
