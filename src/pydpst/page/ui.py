"""The page, and its server: `serve`."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue

# Gradio asks the internet for its newest version, and reports its use, unless told not to.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
from starlette.middleware import Middleware

from pydpst.page.gate import Gate, quiet_gradio
from pydpst.page.photo_tab import PhotoTab
from pydpst.page.session import Session
from pydpst.page.styles_tab import StylesTab
from pydpst.regions.mask_colors import NAMED_COLORS

_CSS = """
footer { display: none }
.toast-body { white-space: normal }
.label-wrap { text-align: left }
/* At the top they cover the tabs of narrow screens. */
.toast-wrap { top: auto !important; bottom: 12px }
""" + "\n".join(
    f".region-{name} {{ border-left: 12px solid rgb{color} !important }}"
    for name, color in NAMED_COLORS.items()
)
# Of what takes a second, beside a run.
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
            PhotoTab(session)
        with gr.Tab("Bundled styles"):
            StylesTab(session)
    blocks.queue(default_concurrency_limit=_SHORT_AT_ONCE, max_size=_MOST_WAITING, api_open=False)
    return blocks


def check_host(host: str) -> None:
    """Refuses an address that is not this machine's, which Gradio would try for ever.

    Raises:
        OSError: with a sentence that names it.
    """
    try:
        family, kind, protocol, _, (address, *_) = socket.getaddrinfo(
            host, 0, type=socket.SOCK_STREAM
        )[0]
        with socket.socket(family, kind, protocol) as listener:
            listener.bind((address, 0))
    except (OSError, UnicodeError):
        raise OSError(
            f"{host} cannot be listened at; give for --host an address of this machine."
        ) from None


def start(home: Path, host: str, port: int | None) -> str:
    """Starts the page's server, which ends with the process.

    Args:
        home: an empty folder for all visitors' files.
        host: the address to listen at.
        port: None is the first that is free from 7860.

    Returns:
        The page's address.

    Raises:
        OSError: if the port is taken.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(home)
    quiet_gradio()
    font = ["system-ui", "sans-serif"]
    try:
        _, address, _ = page(home).launch(
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
            app_kwargs={"middleware": [Middleware(Gate, host=host, home=home)]},
        )
    except OSError:
        ports = f"port {port}" if port else "any port from 7860 to 7959"
        raise OSError(
            f"{host} cannot be listened at on {ports}; choose another --port, or for --host an "
            "address of this machine."
        ) from None
    return str(address)


def serve(host: str, port: int | None, tell: Callable[[str], None]) -> None:
    """Serves the page until Ctrl-C or SIGTERM, and then deletes all that visitors left.

    Args:
        host: the address to listen at.
        port: None is the first that is free from 7860.
        tell: is given the page's address once it is there.

    Raises:
        OSError: if the port is taken, or the address is not this machine's.
    """
    check_host(host)
    # Not by an exception: one that is raised while garbage is collected is lost.
    terminations: SimpleQueue[int] = SimpleQueue()
    signal.signal(signal.SIGTERM, lambda number, _: terminations.put(number))
    with tempfile.TemporaryDirectory(prefix="pydpst-ui-", ignore_cleanup_errors=True) as home:
        tell(start(Path(home), host, port))
        with suppress(KeyboardInterrupt):
            terminations.get()
