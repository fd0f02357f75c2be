"""The page of `pydpst ui`, driven by a real browser."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PHOTOS, Run, blank_png
from PIL import Image

from pydpst.page.session import Session
from pydpst.transfer.planning import DEFAULT_SIZE

pytest.importorskip("gradio", reason="the page needs gradio")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")

# Two cores run the tests: waiting is for the page to be stuck, not slow.
PATIENCE = 120_000

# The editors draw 60 times a second, here without a GPU: that would take both cores.
FEWER_FRAMES = """
const request = window.requestAnimationFrame.bind(window);
window.requestAnimationFrame = (draw) => setTimeout(() => request(draw), 100);
"""


class Server:
    """A `pydpst ui` of its own, whose temporary files lie in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        # Gradio waits an hour for closed sessions to come back; in its own tests a second.
        environment = os.environ | {"TMPDIR": str(folder), "GRADIO_IS_E2E_TEST": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pydpst", "ui", "--port", str(free_port())],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self.url = ""
        for line in self.process.stderr:
            if found := re.match(r"(http://127\.0\.0\.1:\d+)", line):
                self.url = found[1]
                break

    def sessions(self) -> set[Path]:
        """The folders of the sessions that have one."""
        return {content.parent for content in self.folder.glob("pydpst-ui-*/*/content")}

    def end(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.communicate(timeout=30)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    started = Server(tmp_path_factory.mktemp("server"))
    yield started
    started.end()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"] if os.geteuid() == 0 else []
        )
        yield started
        started.close()


@pytest.fixture
def visit(server: Server, browser: Any) -> Iterator[Callable[[], Any]]:
    """Opens the page as a new visitor; afterwards, nothing may have gone beyond this machine."""
    contexts, requests = [], []

    def open_page() -> Any:
        contexts.append(browser.new_context(viewport={"width": 1400, "height": 1000}))
        contexts[-1].add_init_script(FEWER_FRAMES)
        page = contexts[-1].new_page()
        page.set_default_timeout(PATIENCE)
        page.on("request", lambda request: requests.append(request.url))
        page.goto(server.url)
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert requests
    assert [url for url in requests if not url.startswith((server.url, "data:", "blob:"))] == []


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example photos, smaller, as jpg."""
    folder = tmp_path_factory.mktemp("photos")
    for path in PHOTOS.glob("*.jpg"):
        with Image.open(path) as photo:
            photo.resize((240, 120)).save(folder / path.name, quality=95)
    return folder


def drop(page: Any, role: str, path: Path) -> None:
    page.locator(f"#{role} input[type=file]").set_input_files(path)


def settle(page: Any) -> None:
    """Waits until the page has noticed what was set: it looks once a frame."""
    for _ in range(3):
        page.evaluate("new Promise(requestAnimationFrame)")


def set_number(page: Any, label: re.Pattern[str], value: float) -> None:
    box = page.get_by_role("spinbutton", name=label).locator("visible=true")
    box.fill(str(value))
    box.press("Tab")
    settle(page)


def kept(page: Any, role: str) -> None:
    """Waits until the page shows its own copy of the photo dropped."""
    page.locator(f"#{role} img[src*='/{role}/']").wait_for()


def begin(page: Any, photos: Path, content: str, style: str, size: int, steps: int) -> None:
    """Drops two photos, waits for their regions, and sets size and steps."""
    drop(page, "content", photos / content)
    kept(page, "content")
    drop(page, "style", photos / style)
    page.get_by_text(re.compile("regions? found")).wait_for()
    set_number(page, re.compile("Size"), size)
    set_number(page, re.compile("Steps"), steps)


def click(page: Any, button: str) -> None:
    page.get_by_role("button", name=button, exact=True).locator("visible=true").click()


def finish(page: Any) -> str:
    """Waits for the end of a run; what is said of it."""
    told = page.get_by_text(re.compile(r"\d+×\d+ pixels")).locator("visible=true")
    told.wait_for()
    return str(told.inner_text())


def downloaded(page: Any) -> tuple[str, Image.Image]:
    with page.expect_download() as download:
        page.get_by_text("Download", exact=True).locator("visible=true").click()
    return download.value.suggested_filename, Image.open(download.value.path())


def difference(first: Image.Image, second: Image.Image) -> np.ndarray[Any, Any]:
    """By pixel, from 0 to 255; the second at the size of the first."""
    arrays = [
        np.asarray(image.convert("RGB"), float) for image in (first, second.resize(first.size))
    ]
    found: np.ndarray[Any, Any] = np.abs(arrays[0] - arrays[1]).mean(2)
    return found


@needs_browser
def test_run_download_stop_and_keep(visit: Callable[[], Any], photos: Path) -> None:
    page = visit()
    begin(page, photos, "city_day.jpg", "city_night.jpg", 240, 10)
    click(page, "Stylize")
    page.get_by_text(re.compile(r"Step \d+ of 10")).wait_for()
    assert "240×120 pixels" in finish(page)
    shown = page.locator("#result img")
    before, after = (shown.nth(k).get_attribute("src") for k in (0, 1))
    assert before != after
    name, result = downloaded(page)
    assert (name, result.format, result.size) == ("city_day-city_night.jpg", "JPEG", (240, 120))
    content = Image.open(photos / "city_day.jpg")
    assert difference(result, content).mean() > 20
    red, blue = (np.asarray(result, float)[..., channel].mean() for channel in (0, 2))
    assert blue > red, "as in the night, not as in the day"
    for what in ("recipe", "look"):
        with page.expect_download() as download:
            page.get_by_text(f"Download {what}", exact=True).click()
        assert download.value.suggested_filename == f"city_day-city_night-{what}.zip"

    set_number(page, re.compile("Steps"), 300)
    click(page, "Stylize")
    page.get_by_text(re.compile(r"Step \d+ of 300, about \d+ (s|min) left")).wait_for()
    assert shown.nth(1).get_attribute("src") != after, "a preview"
    click(page, "Stop and keep")
    assert "Stopped" in finish(page)
    assert difference(downloaded(page)[1], content).mean() > 20


@needs_browser
def test_a_busy_browser_shows_how_a_run_ended(
    server: Server, visit: Callable[[], Any], photos: Path
) -> None:
    def results() -> set[Path]:
        return set(server.folder.glob("pydpst-ui-*/*/result/*"))

    page = visit()
    begin(page, photos, "lake.jpg", "city_night.jpg", 240, 5)
    debugger = page.context.new_cdp_session(page)
    debugger.send("Debugger.enable")
    before = results()
    click(page, "Stylize")
    wait_until(lambda: bool(results() - before))
    debugger.send("Debugger.pause")
    (result,) = results() - before
    wait_until((result / "lake-city_night-look.zip").exists)
    time.sleep(1)  # what is said of the files is on its way, too
    debugger.send("Debugger.resume")
    finish(page)
    for name in ("Stylize", "Download", "Download recipe", "Download look"):
        page.get_by_role("button", name=name, exact=True, disabled=False).wait_for()
    stop = page.get_by_role("button", name="Stop and keep")
    assert stop.is_disabled()


@needs_browser
def test_painted_regions_count(visit: Callable[[], Any], photos: Path) -> None:
    page = visit()
    begin(page, photos, "city_day.jpg", "city_night.jpg", 240, 5)
    # The sky stays as it is, and so does what is painted with the first colour, which is the sky's.
    set_number(page, re.compile("Strength of sky"), 0)
    # What a region is styled after is a choice.
    page.get_by_label("Building is styled after").click()
    page.get_by_role("option", name="the whole style photo").click()
    page.get_by_text("after the whole style photo, as you chose").wait_for()
    canvas = page.locator("#content-regions canvas").first
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.8 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.5 * box["width"], box["y"] + 0.8 * box["height"], steps=10)
    page.mouse.up()
    page.locator("#content-regions").get_by_role("button", name="Undo", disabled=False).wait_for()
    settle(page)
    click(page, "Stylize")
    finish(page)
    _, result = downloaded(page)
    changed = difference(result, Image.open(photos / "city_day.jpg"))
    assert changed[-12:, 65:90].mean() < 3, "painted as sky"
    assert changed[-12:, 5:30].mean() > 6, "still buildings"
    assert changed[:12].mean() < 1, "sky"


@needs_browser
def test_bundled_style(visit: Callable[[], Any], photos: Path) -> None:
    page = visit()
    page.get_by_role("tab", name="Bundled styles").click()
    drop(page, "photo", photos / "lake.jpg")
    kept(page, "photo")
    results = {}
    for style, strength in (("night", 1), ("sunset", 1), ("sunset", 0)):
        page.get_by_role("radio", name=style).check()
        settle(page)
        set_number(page, re.compile("Strength"), strength)
        before = page.locator("#applied img").all()
        shown = before[-1].get_attribute("src") if before else ""
        click(page, "Apply")
        page.locator(f'#applied img:last-of-type:not([src="{shown}"])').last.wait_for()
        name, results[style, strength] = downloaded(page)
        assert name == f"lake-{style}.jpg"
    photo = Image.open(photos / "lake.jpg")
    assert difference(results["sunset", 0], photo).mean() < 2
    assert difference(results["sunset", 1], photo).mean() > 5
    assert difference(results["sunset", 1], results["night", 1]).mean() > 5


@needs_browser
def test_nothing_is_covered_or_cut_off_on_a_narrow_screen(
    visit: Callable[[], Any], photos: Path, tmp_path: Path
) -> None:
    page = visit()
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.locator("canvas:visible, #result:visible").count() == 0, "empty editors"
    (tmp_path / "text.jpg").write_text("no photo at all")
    drop(page, "content", tmp_path / "text.jpg")
    page.get_by_test_id("toast-body").wait_for()
    toast = page.get_by_test_id("toast-body").bounding_box()
    for tab in page.get_by_role("tab").all():
        assert tab.bounding_box()["y"] + tab.bounding_box()["height"] < toast["y"]
        tab.click()
    page.get_by_role("tab").first.click()
    assert page.get_by_role("spinbutton", name="Size").input_value() == str(DEFAULT_SIZE)
    drop(page, "content", photos / "city_day.jpg")
    kept(page, "content")
    drop(page, "style", photos / "city_night.jpg")
    page.get_by_text(re.compile("regions? found")).wait_for()
    page.get_by_text(re.compile(r"It will take about \d+ s")).wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    cut_off = page.locator("#content-regions [data-testid=block-label]").evaluate(
        "label => label.scrollWidth - label.clientWidth"
    )
    assert cut_off <= 0
    page.locator("#style").get_by_role("button", name="Remove Image").click()
    page.get_by_text("Drop two photos to begin").wait_for()
    assert page.locator("canvas:visible").count() == 0, "empty editors"


@needs_browser
def test_two_people_at_once(visit: Callable[[], Any], photos: Path) -> None:
    pages = [visit(), visit()]
    for page, style in zip(pages, ("city_night.jpg", "hilltop_sunset.jpg"), strict=True):
        begin(page, photos, "lake.jpg", style, 240, 10)
    for page in pages:
        click(page, "Stylize")
    for page in pages:
        finish(page)
    names, results = zip(*(downloaded(page) for page in pages), strict=True)
    assert names == ("lake-city_night.jpg", "lake-hilltop_sunset.jpg")
    assert difference(*results).mean() > 10


@needs_browser
def test_broken_uploads_say_so(visit: Callable[[], Any], photos: Path, tmp_path: Path) -> None:
    whole = (photos / "lake.jpg").read_bytes()
    broken = {
        "text.jpg": (b"no photo at all", "text.jpg is not an image"),
        "half.jpg": (whole[: len(whole) // 2], "half.jpg cannot be decoded"),
        "bomb.png": (bomb(), "bomb.png has more than"),
        "<b>.png": (blank_png(8, 8), "8×8 pixels; each side must have at least 16"),
    }
    page = visit()
    for name, (data, sentence) in broken.items():
        (tmp_path / name).write_bytes(data)
        drop(page, "content", tmp_path / name)
        page.get_by_test_id("toast-body").filter(has_text=sentence).wait_for()
        page.locator("#content img").wait_for(state="detached")
    drop(page, "content", photos / "lake.jpg")
    kept(page, "content")
    drop(page, "style", tmp_path / "text.jpg")
    page.get_by_test_id("toast-body").filter(has_text="The style image text.jpg").wait_for()
    drop(page, "style", photos / "beach_sunset.jpg")
    page.get_by_text(re.compile("regions? found")).wait_for()


def bomb() -> bytes:
    return blank_png(20000, 20000)


@needs_browser
def test_files_go_when_their_visitor_does(
    server: Server, browser: Any, visit: Callable[[], Any], photos: Path
) -> None:
    staying = visit()
    drop(staying, "content", photos / "lake.jpg")
    kept(staying, "content")
    before = server.sessions()
    leaving = browser.new_context()
    page = leaving.new_page()
    page.goto(server.url)
    drop(page, "content", photos / "lake.jpg")
    kept(page, "content")
    (own,) = server.sessions() - before
    leaving.close()
    wait_until(lambda: not own.exists())
    assert len(server.sessions()) >= 1


def wait_until(true: Callable[[], bool]) -> None:
    for _ in range(PATIENCE // 100):
        if true():
            return
        time.sleep(0.1)
    pytest.fail("it never came true")


def test_nothing_is_left_when_the_server_ends(tmp_path: Path) -> None:
    server = Server(tmp_path)
    assert list(tmp_path.glob("pydpst-ui-*"))
    server.end()
    assert server.process.returncode == 0
    assert not list(tmp_path.glob("pydpst-ui-*"))


def test_a_termination_while_garbage_is_collected_ends_the_server() -> None:
    serving = f"""
import os, signal
from pydpst.page.ui import serve

class Garbage:
    def __del__(self):
        os.kill(os.getpid(), signal.SIGTERM)
        sum(range(1000))

garbage = [Garbage()]
serve("127.0.0.1", {free_port()}, lambda url: garbage.clear())
"""
    subprocess.run([sys.executable, "-c", serving], check=True, timeout=PATIENCE / 1000)


def test_only_uploads_are_read(tmp_path: Path, photos: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    uploaded = shutil.copy(photos / "lake.jpg", home / "lake.jpg")
    session = Session(home)
    assert session.take("content", uploaded).path.read_bytes() == uploaded.read_bytes()
    (home / "link.jpg").symlink_to(photos / "lake.jpg")
    for path in (photos / "lake.jpg", home / ".." / "other.jpg", home / "link.jpg"):
        with pytest.raises(ValueError, match="was not uploaded"):
            session.take("content", path)
    assert not session.photos


def test_port_taken_is_said(server: Server) -> None:
    port = server.url.rpartition(":")[2]
    command = [sys.executable, "-m", "pydpst", "ui", "--port", port]
    second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert second.returncode == 1
    assert second.stderr.startswith(f"error: 127.0.0.1 cannot be listened at on port {port}; ")


def test_without_gradio_says_what_to_install(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "pydpst.page.ui", raising=False)
    monkeypatch.setitem(sys.modules, "gradio", None)
    code, told = run("ui")
    assert code == 1
    assert told == "error: the page needs gradio; pip install 'pydpst[ui]'.\n"
