"""Restyles a photo in the page of `pydpst ui`, in a real browser, and takes a picture of it.

    python tools/page_screenshot.py docs/page.png

Needs pydpst[ui], playwright and the distribution's Chromium.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PHOTOS = Path(__file__).parent.parent / "examples" / "photos"
# A run on two cores takes a minute or two.
PATIENCE = 600_000


def main() -> None:
    """Starts a server of its own, and ends it."""
    parser = argparse.ArgumentParser(description="Takes a picture of the page of `pydpst ui`.")
    parser.add_argument("output", type=Path, help="a png")
    parser.add_argument("--content", type=Path, default=PHOTOS / "lake.jpg")
    parser.add_argument("--style", type=Path, default=PHOTOS / "beach_sunset.jpg")
    parser.add_argument("--size", type=int, default=720)
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "pydpst", "ui"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            lines = (re.match(r"(http://\S+)", line) for line in server.stderr)
            address = next(found[1] for found in lines if found)
            take_picture(address, arguments)
        finally:
            server.terminate()


def take_picture(address: str, arguments: argparse.Namespace) -> None:
    """Visits the page, drops both photos, runs, and takes the picture."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox"] if os.geteuid() == 0 else [],
        )
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        for role, path in (("content", arguments.content), ("style", arguments.style)):
            page.locator(f"#{role} input[type=file]").set_input_files(path)
            page.locator(f"#{role} img[src*='/{role}/']").wait_for()
        page.get_by_text(re.compile("regions? found")).wait_for()
        size = page.get_by_role("spinbutton", name=re.compile("Size"))
        size.fill(str(arguments.size))
        size.press("Tab")
        page.wait_for_timeout(1000)
        page.get_by_role("button", name="Stylize").click()
        page.get_by_text(re.compile(r"\d+×\d+ pixels")).wait_for()
        page.wait_for_timeout(2000)
        page.screenshot(path=arguments.output, full_page=True)
        browser.close()


if __name__ == "__main__":
    main()
