"""`pydpst ui`."""

from __future__ import annotations

from typing import Annotated

import typer

from pydpst.commands import say


def ui(
    host: Annotated[
        str,
        typer.Option(
            help="Address to listen at; by default this machine's own only.",
            rich_help_panel="Server",
        ),
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(
            min=1, max=65535, help="By default the first free from 7860.", rich_help_panel="Server"
        ),
    ] = None,
) -> None:
    """Serve a page in which photos are restyled; Ctrl-C ends it."""
    try:
        from pydpst.page.ui import serve
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise ImportError("the page needs gradio; pip install 'pydpst[ui]'.") from None
    if host not in ("127.0.0.1", "::1", "localhost"):
        say("warning: whoever reaches this machine can use the page; it asks for no password")
    serve(host, port, lambda address: say(f"{address} is the page; Ctrl-C ends it"))
