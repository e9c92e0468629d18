"""``prepare images`` against a server that also misbehaves."""

import hashlib
import io
import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from misbehaving_server import jpeg, served
from small_shop import write_pictures, write_shop

from missrec_pl.data.domain.folder import Domain
from missrec_pl.prepare.__main__ import main
from missrec_pl.prepare.images import fetching

pytest.importorskip("PIL", reason='needs pip install "missrec-pl[prepare]"')
pytest.importorskip("urllib3", reason='needs pip install "missrec-pl[prepare]"')

HASTY = (
    "--retries",
    "2",
    "--backoff-s",
    "0.01",
    "--timeout-s",
    "1",
    "--total-s",
    "2",
    "--max-bytes",
    "20000",
    "--allow-private",
)


def shop_of(path: Path, urls: list[str | None]) -> Path:
    return write_shop(path, [f"thing {number}" for number in range(len(urls))], urls=urls)


def pictures(shop: Path) -> list[bytes | None]:
    return [
        (shop / name).read_bytes() if name else None for name in Domain.open(shop, verify=True).image_paths()[1:]
    ]


def test_pictures_come_and_everything_else_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served() as server:
        kinds = [
            "gone",
            "html",
            "truncated",
            "slow",
            "silent",
            "large",
            "large-untold",
            "half",
            "elsewhere",
            "loop",
            "to-file",
            "to-nowhere",
            "odd-numbers",
        ]
        good = ["ok/1.jpg", "ok/2.jpg", "ok/1.jpg", "flaky/a", "moved/a"]
        urls = [f"{server.url}/{path}" for path in good] + [f"{server.url}/{kind}/x" for kind in kinds]
        shop = shop_of(tmp_path / "shop", [*urls, None, "ftp://x/y", "http://[", "http://127.0.0.1:9/closed"])
        assert main(["images", str(shop), *HASTY]) == 0
        printed = capsys.readouterr().out
        assert pictures(shop) == [jpeg(1), jpeg(2), jpeg(1), jpeg(99), jpeg(50), *[None] * 17]
        assert "4 downloaded, 0 there before, 1 items without" in printed
        for reason in (
            "HTTP 404",
            "a web page instead of a picture",
            "no picture instead of a picture",
            "truncated",
            "not done after 2 s",
            "too slow",
            "larger than 20000 bytes",
            "redirected to localhost; allow it with --allow-host localhost",
            "more than 5 redirects",
            "no http or https address",
            "no connection",
            "redirected to no address",
            "HTTP 503",
        ):
            assert f"failed: {reason}" in printed
        assert server.asked["/ok/1.jpg"] == 1
        assert server.asked["/gone/x"] == 1
        assert server.asked["/truncated/x"] == 3
        assert server.asked["/ok/60.jpg"] == 0

        before = dict(server.asked)
        assert main(["images", str(shop), *HASTY, "--retries", "0"]) == 0
        again = {path for path, number in server.asked.items() if number > before.get(path, 0)}
        passing, by_limits = (
            {"/truncated/x", "/slow/x", "/silent/x", "/odd-numbers/x"},
            {"/large/x", "/large-untold/x", "/elsewhere/x"},
        )
        assert again == passing | by_limits  # what another run may mend, and nothing else
        assert server.asked["/large/x"] == 2  # once a run

        assert main(["images", str(shop), *HASTY, "--retries", "0", "--allow-host", "localhost"]) == 0
        assert pictures(shop)[13] == jpeg(60)
        assert server.asked["/gone/x"] == 1
        assert main(["images", str(shop), *HASTY, "--retries", "0", "--retry-failed"]) == 0
        assert server.asked["/gone/x"] == 2
    assert not list(tmp_path.rglob(".*.part"))


def test_a_server_is_not_asked_for_too_much_at_once(tmp_path: Path) -> None:
    with served(delay=0.02) as server:
        shop = shop_of(tmp_path / "shop", [f"{server.url}/ok/{number}.jpg" for number in range(20)])
        assert main(["images", str(shop), "--allow-private", "--connections", "8", "--per-host", "3"]) == 0
        assert 1 < server.most_together <= 3
        assert None not in pictures(shop)


def test_waiting_for_a_turn_is_no_part_of_a_download(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = itertools.count(step=0.01)

    @contextmanager
    def late(fetcher: fetching.Fetcher, host: str) -> Iterator[None]:
        for _ in range(1000):
            next(clock)
        yield

    monkeypatch.setattr(fetching, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    monkeypatch.setattr(fetching.Fetcher, "_turn", late)
    with served() as server:
        fetcher = fetching.Fetcher(fetching.Limits(total_s=5.0, retries=0, allow_private=True))
        assert fetcher.fetch(f"{server.url}/moved/a") == (jpeg(50), ".jpg")


def test_what_phones_write_is_a_jpeg() -> None:
    from PIL import Image

    first, second = (Image.open(io.BytesIO(jpeg(number))) for number in (1, 2))
    stream = io.BytesIO()
    first.save(stream, "MPO", save_all=True, append_images=[second])
    assert fetching.picture_suffix(stream.getvalue()) == ".jpg"


def test_items_keep_the_pictures_that_they_had(tmp_path: Path) -> None:
    write_pictures(tmp_path / "photos", ["own.jpg"])
    with served() as server:
        urls = [None, f"{server.url}/gone/x", f"{server.url}/ok/1.jpg", None]
        images = [*["../photos/own.jpg"] * 3, None]
        shop = write_shop(tmp_path / "shop", ["a", "b", "c", "d"], images=images, urls=urls)
        assert main(["images", str(shop), *HASTY]) == 0
    own = (tmp_path / "photos" / "own.jpg").read_bytes()
    assert pictures(shop) == [own, own, jpeg(1), None]


def test_a_linked_domain_stays_a_link_and_a_dot_is_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "links").mkdir()
    link = tmp_path / "links" / "shop"
    with served() as server:
        shop = shop_of(tmp_path / "disk" / "shop", [f"{server.url}/ok/1.jpg"])
        link.symlink_to(shop)
        assert main(["images", str(link), "--allow-private"]) == 0
        assert link.is_symlink()
        assert pictures(link) == pictures(shop) == [jpeg(1)]
        first = Domain.open(shop).image_paths()
        monkeypatch.chdir(shop)
        assert main(["images", ".", "--allow-private"]) == 0
        assert main(["images", "."]) == 2
        assert "the current folder was replaced" in capsys.readouterr().err
        monkeypatch.chdir(tmp_path)
    assert Domain.open(shop).image_paths() == first
    assert sorted(path.name for path in (tmp_path / "disk").iterdir()) == ["shop", "shop.images"]


def digests(shop: Path) -> dict[str, str]:
    files = list((shop.parent / f"{shop.name}.images").rglob("*.jpg"))
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_killed_and_run_again(tmp_path: Path) -> None:
    with served(delay=0.03) as server:
        urls = [f"{server.url}/ok/{number}.jpg" for number in range(40)]
        urls += [f"{server.url}/gone/{number}" for number in range(5)]
        whole, killed = shop_of(tmp_path / "a" / "shop", [*urls]), shop_of(tmp_path / "b" / "shop", [*urls])
        assert main(["images", str(whole), *HASTY]) == 0
        server.asked.clear()
        before = (killed / "domain.json").read_bytes()
        command = [sys.executable, "-m", "missrec_pl.prepare", "images", str(killed), *HASTY, "--connections", "2"]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            started = time.monotonic()
            while len(digests(killed)) < 6:
                assert process.poll() is None, "finished before it could be killed"
                assert time.monotonic() - started < 120
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
        finished = len(digests(killed))
        assert finished < 40
        assert (killed / "domain.json").read_bytes() == before
        assert main(["images", str(killed), *HASTY]) == 0
        assert sum(server.asked[f"/ok/{number}.jpg"] == 1 for number in range(40)) >= finished
        assert max(server.asked.values()) <= 2
    assert digests(killed) == digests(whole)
    assert len(digests(killed)) == 40
    manifests = [Domain.open(shop, verify=True).manifest.sha256 for shop in (whole, killed)]
    assert manifests[0] == manifests[1]
    failures = [(shop.parent / "shop.images" / "failures.csv").read_text() for shop in (whole, killed)]
    assert failures[0] == failures[1]
    assert failures[0].count("HTTP 404") == 5


def test_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = write_shop(tmp_path / "bare", ["a"])
    assert main(["images", str(bare)]) == 2
    assert "has no column image_url" in capsys.readouterr().err
    shop = shop_of(tmp_path / "shop", ["http://127.0.0.1:9/x"])
    assert main(["images", str(shop), "--per-host", "0"]) == 2
    assert "--per-host 0" in capsys.readouterr().err
    assert main(["images", str(tmp_path / "sho")]) == 2
    assert "did you mean 'shop'?" in capsys.readouterr().err


def test_other_kinds_of_pictures_are_not_decoded(tmp_path: Path) -> None:
    from PIL import Image

    from missrec_pl.prepare.encoders.pixels import Preprocessing
    from missrec_pl.prepare.features.pictures import Status, read_picture

    picture = Image.open(io.BytesIO(jpeg(1)))
    for kind in ("TIFF", "BMP", "PPM", "EPS", "ICO", "TGA", "PDF"):
        file = tmp_path / f"{kind}.jpg"  # told from the content, whatever the name says
        picture.save(file, kind)
        with pytest.raises(fetching.FetchError, match="instead of a picture"):
            fetching.picture_suffix(file.read_bytes())
        status, told, _ = read_picture(file, Preprocessing.__new__(Preprocessing))
        assert status == Status.BROKEN
        assert "JPEG, PNG, GIF, WEBP" in str(told)


def test_a_small_file_of_endless_pixels_is_not_decoded(tmp_path: Path) -> None:
    from PIL import Image

    from missrec_pl.prepare.encoders.pixels import Preprocessing
    from missrec_pl.prepare.features.pictures import Status, read_picture

    for side in (9_000, 20_000):  # beyond our limit, and beyond the one of Pillow
        file = tmp_path / f"{side}.png"
        Image.new("1", (side, side)).save(file)
        assert file.stat().st_size < 100_000
        status, told, _ = read_picture(file, Preprocessing.__new__(Preprocessing))
        assert status == Status.ABSURD
        assert "pixels" in str(told)
        with pytest.raises(fetching.FetchError):
            fetching.picture_suffix(file.read_bytes())
