"""What the page's server answers to other websites, by real requests."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("gradio", reason="the page needs gradio")

import gradio as gr
import httpx

from pydpst.page import gate
from pydpst.page.ui import start

PHOTO = {"files": ("photo.png", b"x" * 1000, "image/png")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def url(home: Path) -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", "")
        yield start(home, "127.0.0.1", None).rstrip("/")
    gr.close_all(verbose=False)


@pytest.fixture
def netloc(url: str) -> str:
    return urlsplit(url).netloc


def upload(url: str, **headers: str) -> httpx.Response:
    return httpx.post(f"{url}/gradio_api/upload", files=PHOTO, headers=headers)


def test_the_page_and_its_uploads_are_answered(url: str, netloc: str, home: Path) -> None:
    port = netloc.split(":")[1]
    assert "gradio" in httpx.get(url).text
    for host in (netloc, f"localhost:{port}", f"LOCALHOST:{port}", f"[::1]:{port}"):
        assert httpx.get(url, headers={"Host": host}).status_code == 200
        assert upload(url, Host=host, Origin=f"http://{host}").status_code == 200
    path = upload(url, Origin=url).json()[0]
    assert Path(path).is_relative_to(home)
    assert Path(path).read_bytes() == b"x" * 1000


@pytest.mark.parametrize(
    "origin",
    ["https://evil.example", "null", "http://127.0.0.1:3000", "http://localhost", "file://", ""],
)
def test_other_websites_are_refused(origin: str, url: str, home: Path) -> None:
    before = sorted(home.rglob("*"))
    assert upload(url, Origin=origin).status_code == 403
    for call in ("queue/join", "cancel"):
        answer = httpx.post(f"{url}/gradio_api/{call}", json={}, headers={"Origin": origin})
        assert answer.status_code == 403
    assert httpx.get(url, headers={"Origin": origin}).status_code == 403
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    ("mode", "destination", "code"),
    [
        ("no-cors", "image", 403),
        ("navigate", "document", 200),
        ("navigate", "iframe", 403),
        ("navigate", "embed", 403),
    ],
)
@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_link_is_followed_and_no_picture_or_frame_is_given(
    site: str, mode: str, destination: str, code: int, url: str
) -> None:
    headers = {
        "Sec-Fetch-Site": site,
        "Sec-Fetch-Mode": mode,
        "Sec-Fetch-Dest": destination,
    }
    assert httpx.get(url, headers=headers).status_code == code
    assert upload(url, **headers).status_code == 403


@pytest.mark.parametrize(
    "host", ["evil.example:{port}", "127.0.0.1", "localhost:1", "127.0.0.1.evil.example:{port}",
             "evil@127.0.0.1:{port}", "127.0.0.1:{port}/x", "10.0.0.1:{port}", ":{port}", "[", ""],
)  # fmt: skip
def test_names_that_point_here_are_refused(host: str, url: str, netloc: str) -> None:
    headers = {"Host": host.format(port=netloc.split(":")[1])}
    assert httpx.get(url, headers=headers).status_code == 403
    assert upload(url, **headers).status_code == 403


@pytest.mark.parametrize(
    ("header", "host", "own"),
    [
        ("192.168.1.5:7860", "0.0.0.0", True),
        ("[fe80::1]:7860", "::", True),
        ("evil.example:7860", "0.0.0.0", False),
        ("192.168.1.5:7861", "0.0.0.0", False),
        ("studio.lan:7860", "studio.lan", True),
        ("192.168.1.5:7860", "192.168.1.6", False),
    ],
)
def test_hosts_of_a_page_for_the_network(header: str, host: str, own: bool) -> None:
    assert gate.is_own_host(header, host, 7860) is own


def test_the_total_of_uploads_is_bounded(
    url: str, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = gate.bytes_in(home)
    monkeypatch.setattr(gate, "MOST_KEPT", kept + 3 * 4096)
    codes = [
        httpx.post(
            f"{url}/gradio_api/upload", files={"files": (f"{i}.png", bytes([i]), "image/png")}
        ).status_code
        for i in range(6)
    ]
    assert codes[0] == 200
    assert codes[-1] == 413
    assert gate.bytes_in(home) <= kept + 3 * 4096 + 4096

    def endless() -> Iterator[bytes]:  # of unknown length
        yield b'--b\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
        for _ in range(64):
            yield bytes(1 << 20)
        yield b"\r\n--b--\r\n"

    monkeypatch.setattr(gate, "MOST_KEPT", gate.bytes_in(home) + (16 << 20))
    before = sorted(home.rglob("*"))
    try:
        answer = httpx.post(
            f"{url}/gradio_api/upload",
            content=endless(),
            headers={"Content-Type": "multipart/form-data; boundary=b"},
            timeout=60,
        )
        assert answer.status_code == 413
        assert "maximum allowed size" in answer.text
    except httpx.WriteError:  # hung up before all was sent
        pass
    assert sorted(home.rglob("*")) == before


@pytest.mark.parametrize(
    "path",
    ["gradio_api/info", "gradio_api/openapi.json", "gradio_api/app_id", "gradio_api/api/predict",
     "gradio_api/run/load", "gradio_api/call/predict", "gradio_api/proxy=http://example.com",
     "gradio_api/reset", "config", "monitoring", "docs", "openapi.json", "gradio_api/vibe-code",
     "gradio_api/component_server", "login", "token", "gradio_api/dev/reload"],
)  # fmt: skip
def test_what_the_page_does_not_use_is_closed(path: str, url: str) -> None:
    for method in ("GET", "POST"):
        assert httpx.request(method, f"{url}/{path}").status_code == 404


def test_malformed_calls_print_no_traceback(url: str, capfd: pytest.CaptureFixture[str]) -> None:
    join = f"{url}/gradio_api/queue/join"
    bodies = [
        {},
        {"session_hash": "a"},
        {"session_hash": "a", "fn_index": 10**6, "data": []},
        {"session_hash": "a", "fn_index": -1, "data": "x"},
        {"session_hash": 5, "fn_index": "x", "data": {}},
        {"session_hash": "a", "fn_index": 0, "data": [{"path": "/etc/passwd"}] * 3},
        *({"session_hash": "a", "fn_index": i, "data": []} for i in range(12)),
        *({"session_hash": "a", "fn_index": i, "data": ["x"] * 9} for i in range(12)),
    ]
    answers = [httpx.post(join, json=body).status_code for body in bodies]
    for fn_index in (None, -1, 10**6, *range(12)):
        body = {"session_hash": "a", "fn_index": fn_index, "data": ["x"]}
        answers.append(httpx.post(f"{url}/gradio_api/run/predict", json=body).status_code)
    for body in (b"\xff", b"{", b"[" * 5000, b"null", b'"x"'):
        answers.append(httpx.post(join, content=body).status_code)
    for kind in ("multipart/form-data", "multipart/form-data; boundary=x", "text/plain", "x"):
        upload = httpx.post(
            f"{url}/gradio_api/upload", content=b"--x\r\n", headers={"Content-Type": kind}
        )
        answers.append(upload.status_code)
    for query in ("", "?upload_id=nope"):
        with httpx.stream("GET", f"{url}/gradio_api/upload_progress{query}") as answer:
            answers.append(answer.status_code)
    for path in ("%00", "/etc/passwd", "../../etc/passwd", "http://127.0.0.1/", "x" * 5000):
        answers.append(httpx.get(f"{url}/gradio_api/file={path}").status_code)
    assert set(answers) <= {200, 400, 403, 404, 413, 422}, answers
    threading.Event().wait(2)  # the queue works through what it took
    said = capfd.readouterr()
    assert "Traceback" not in said.err + said.out
    assert max(map(len, said.err.splitlines()), default=0) < 300
