"""A local picture server that also misbehaves."""

import io
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np


def jpeg(number: int, side: int = 32) -> bytes:
    from PIL import Image

    pixels = np.random.default_rng(number).integers(0, 255, (4, 4, 3), dtype=np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).resize((side, side)).save(stream, "JPEG")
    return stream.getvalue()


class Handler(BaseHTTPRequestHandler):
    """``/ok/3.jpg`` is a picture; the other paths say what is wrong with them."""

    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        kind, _, rest = self.path.lstrip("/").partition("/")
        with server.counting:
            server.asked[self.path] += 1
            server.together += 1
            server.most_together = max(server.most_together, server.together)
        time.sleep(server.delay)
        with server.counting:  # before the answer: a client that has read it may ask again at once
            server.together -= 1
        with suppress(BrokenPipeError, ConnectionResetError):  # the client has left, as it should
            getattr(self, f"answer_{kind.replace('-', '_')}")(rest)

    def answer_ok(self, rest: str) -> None:
        self.send(jpeg(int(rest.removesuffix(".jpg"))))

    def answer_gone(self, rest: str) -> None:
        self.send(b"no", status=404)

    def answer_html(self, rest: str) -> None:
        self.send(b"<!DOCTYPE html><p>sorry</p>", kind="image/jpeg")

    def answer_truncated(self, rest: str) -> None:
        content = jpeg(1)
        self.send(content[: len(content) // 2], length=len(content))

    def answer_half(self, rest: str) -> None:
        self.send(jpeg(1)[:-200])

    def answer_slow(self, rest: str) -> None:
        self.send(b"", length=1000)
        for _ in range(100):
            self.wfile.write(b"x")
            self.wfile.flush()
            time.sleep(0.1)

    def answer_silent(self, rest: str) -> None:
        time.sleep(2.0)

    def answer_large(self, rest: str) -> None:
        self.send(b"x" * 50_000)

    def answer_large_untold(self, rest: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"x" * 50_000)

    def answer_flaky(self, rest: str) -> None:
        assert isinstance(self.server, Server)
        if self.server.asked[self.path] < 3:
            self.send(b"busy", status=503)
        else:
            self.send(jpeg(99))

    def answer_moved(self, rest: str) -> None:
        self.redirect("/ok/50.jpg")

    def answer_elsewhere(self, rest: str) -> None:
        self.redirect(f"http://localhost:{self.server.server_address[1]}/ok/60.jpg")

    def answer_loop(self, rest: str) -> None:
        self.redirect(self.path)

    def answer_to_file(self, rest: str) -> None:
        self.redirect("file:///etc/hostname")

    def answer_to_nowhere(self, rest: str) -> None:
        self.redirect("http://[")

    def answer_odd_numbers(self, rest: str) -> None:
        """Digits that are no number: int() takes none of them."""
        self.send_response(503)
        self.send_header("Retry-After", "²")
        self.send_header("Content-Length", "9" * 5000)
        self.end_headers()

    def redirect(self, target: str) -> None:
        self.send_response(302)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send(
        self, content: bytes, *, status: int = 200, kind: str = "image/jpeg", length: int | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing on stderr."""


class Server(ThreadingHTTPServer):
    """Counts what it is asked."""

    daemon_threads = True

    def __init__(self, delay: float = 0.0) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: Counter[str] = Counter()
        self.counting = threading.Lock()
        self.together = self.most_together = 0
        self.delay = delay

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


@contextmanager
def served(delay: float = 0.0) -> Iterator[Server]:
    server = Server(delay)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
