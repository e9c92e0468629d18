"""The page at ``/``, in a browser without a screen, and what it asks for."""

import re
import shutil
import struct
import subprocess
import threading
import time
import zlib
from html import unescape

import httpx
import pytest
import uvicorn
from served_shop import IDS, written

from missrec_pl.errors import ConfigError
from missrec_pl.serving import load
from missrec_pl.serving.http.app import make_app
from missrec_pl.serving.http.live import Live
from missrec_pl.serving.http.page import pictures_in
from missrec_pl.serving.request import Request

CHROMIUM = next(
    (found for name in ("chromium", "chromium-browser", "google-chrome") if (found := shutil.which(name))), None
)


def png(colour):
    """A picture of one pixel."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", zlib.compress(b"\0" + colour))
        + chunk(b"IEND", b"")
    )


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    (folder / "pictures").mkdir()
    (folder / "pictures" / "i1.png").write_bytes(png(b"\xff\0\0"))
    (folder / "pictures" / "notes.txt").write_text("no picture")
    return written(folder / "bundle"), folder / "pictures"


@pytest.fixture(scope="module")
def address(shop):
    """A server in a thread."""
    bundle, pictures = shop
    app = make_app(Live(lambda: load(bundle)), pictures=pictures)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join()


def test_a_score_is_the_sum_of_its_parts(shop):
    served = load(shop[0])
    answer = served.answer(Request([["i1", "i4"], ["nobody"], ["i2"]], k=4, with_parts=True))
    for number in (0, 2):
        one = answer.ranked[number]
        assert [list(parts) for parts in one.parts] == [
            ["network", "seen", "cooccurrence", "content", "words"]
        ] * 4
        assert [sum(parts.values()) for parts in one.parts] == pytest.approx(one.scores, abs=1e-5)
    assert answer.ranked[1].parts == ()
    assert len({parts["content"] for parts in answer.ranked[0].parts}) == 4


def test_what_the_page_asks_for(address):
    with httpx.Client(base_url=address) as client:
        page = client.get("/")
        assert "default-src 'none'" in page.headers["content-security-policy"]
        assert not re.search(r"(src|href)=|https?://", page.text)
        named = [{"item": item, "title": f"Title of {item}"} for item in IDS]
        assert client.get("/search", params={"k": 3}).json()["items"] == named[:3]
        assert client.get("/search", params={"text": "OF title i12"}).json()["items"] == named[11:]
        assert client.get("/search", params={"text": "i12"}).json()["items"][0] == named[11]
        assert client.get("/search", params={"text": "nothing"}).json() == {"items": []}
        assert client.get("/search", params={"k": 0}).json()["errors"][0]["field"] == "query.k"
        assert client.post("/titles", json={"ids": ["i2", "nobody"]}).json()["items"] == named[1:2]
        assert client.get("/picture", params={"item": "i1"}).content == png(b"\xff\0\0")
        for item in ("i2", "notes", "../bundle/bundle", "../pictures/i1", "i1.png", "\0"):
            assert client.get("/picture", params={"item": item}).status_code == 404
        asked = {"history": ["i1"], "k": 2, "with_parts": True}
        found = client.post("/recommend", json=asked).json()["recommendations"][0]["items"]
        assert sum(found[0]["parts"].values()) == pytest.approx(found[0]["score"], abs=1e-5)
        assert "parts" not in client.post("/recommend", json={"history": ["i1"]}).text


def test_a_folder_of_pictures_that_is_none(tmp_path):
    assert pictures_in(None) == {}
    with pytest.raises(ConfigError, match=r"--pictures .*nowhere: there is no such folder"):
        pictures_in(tmp_path / "nowhere")


@pytest.mark.skipif(CHROMIUM is None, reason="needs chromium")
def test_the_page_in_a_browser(address, tmp_path):
    """What it shows without and with a history, in 400 pixels and the dark."""
    for number, history in enumerate(("", "#i1,i4")):
        words = [
            CHROMIUM,
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            f"--user-data-dir={tmp_path / str(number)}",
        ]
        words += ["--virtual-time-budget=8000", "--window-size=400,900", "--blink-settings=preferredColorScheme=0"]
        done = subprocess.run(
            [*words, "--dump-dom", f"{address}/{history}"], capture_output=True, text=True, timeout=120
        )
        page = unescape(done.stdout)
        assert 'data-ready="yes"' in page, done.stderr[-2000:]
        assert 'data-overflow="0"' in page
        assert "MISSRecReleased, 12 items" in page
        shown = page[page.index('id="recommended"') :]
        assert shown.count("<li>") == 10
        assert ("chose: no item of the history is known</p>" in page) == (not history)
        assert ("cooccurrence" in page and "network" in shown) == bool(history)
        assert 'src="picture?item=i1"' in page
        assert 'src="picture?item=i2"' not in page  # there is none: a letter in its place
