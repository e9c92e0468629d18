"""``prepare images`` and addresses that are nobody's business: refused by number, by name, after a redirect."""

import socket
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from misbehaving_server import jpeg, served

pytest.importorskip("PIL", reason='needs pip install "missrec-pl[prepare]"')
pytest.importorskip("urllib3", reason='needs pip install "missrec-pl[prepare]"')

from missrec_pl.prepare.images.addresses import is_public
from missrec_pl.prepare.images.fetching import Fetcher, FetchError, Limits

CLOSED = [
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "100.100.100.200",
    "192.0.0.192",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.1.1.1",
    "240.0.0.1",
    "255.255.255.255",
    "168.63.129.16",
    "::1",
    "::",
    "fe80::1",
    "fe80::1%eth0",
    "fc00::1",
    "fd00:ec2::254",
    "fec0::1",
    "ff02::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "::127.0.0.1",
    "2002:7f00:1::",
    "2002:a00:1::",
    "64:ff9b::7f00:1",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "2001:db8::1",
    "2001::1",
    "100::1",
    "3fff::1",
    "5f00::1",
]
OPEN = [
    "93.184.216.34",
    "1.1.1.1",
    "172.32.0.1",
    "100.128.0.1",
    "2606:4700:4700::1111",
    "::ffff:1.1.1.1",
    "64:ff9b::101:101",
]
HASTY = {"retries": 0, "timeout_s": 2.0, "total_s": 3.0}


@pytest.mark.parametrize("address", CLOSED)
def test_closed_networks_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", OPEN)
def test_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def named(monkeypatch: pytest.MonkeyPatch, answers: dict[str, list[list[str]]]) -> Counter[str]:
    """Names get one answer after the other (the last one for ever); returns how often each was asked."""
    asked: Counter[str] = Counter()
    genuine = socket.getaddrinfo

    def answer(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
        if host not in answers:
            return genuine(host, port, *rest, **options)
        now = answers[host][min(asked[host], len(answers[host]) - 1)]
        asked[host] += 1
        return [entry for address in now for entry in genuine(address, port, *rest, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return asked


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "0177.0.0.1", "127.1", "0", "[::ffff:127.0.0.1]"]
)
def test_refused_however_the_number_is_written(host: str) -> None:
    with served() as server:
        url = f"http://{host}:{server.server_address[1]}/ok/1.jpg"
        with pytest.raises(FetchError, match="not public; allow it with --allow-private") as caught:
            Fetcher(Limits(**HASTY)).fetch(url)
        assert caught.value.again  # the flag lets it
        assert not server.asked
        if not host.startswith("["):
            assert Fetcher(Limits(**HASTY, allow_private=True)).fetch(url) == (jpeg(1), ".jpg")


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["1.1.1.1", "127.0.0.1"], ["10.1.2.3"]])
def test_refused_by_name_even_where_one_address_is_public(
    addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named(monkeypatch, {"pictures.example": [addresses]})
    with served() as server:
        with pytest.raises(FetchError, match=rf"pictures.example is at {addresses[-1]}, which is not public"):
            Fetcher(Limits(**HASTY)).fetch(f"http://pictures.example:{server.server_address[1]}/ok/1.jpg")
        assert not server.asked


def test_refused_after_a_redirect(monkeypatch: pytest.MonkeyPatch) -> None:
    # The first host counts as public, so that a local server can play it.
    from missrec_pl.prepare.images import addresses

    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    named(monkeypatch, {"localhost": [["127.0.0.2"]]})
    with served() as server, pytest.raises(FetchError, match=r"localhost is at 127\.0\.0\.2, which is not public"):
        Fetcher(Limits(**HASTY, allowed_hosts=frozenset("*"))).fetch(f"{server.url}/elsewhere/x")
    assert server.asked == {"/elsewhere/x": 1}


def test_the_checked_address_is_the_one_that_is_connected_to(monkeypatch: pytest.MonkeyPatch) -> None:
    from missrec_pl.prepare.images import addresses

    monkeypatch.setattr(addresses, "is_public", lambda address: address == "127.0.0.1")
    asked = named(monkeypatch, {"rebinding.example": [["127.0.0.1"], ["127.0.0.2"]]})
    with served() as server:
        url = f"http://rebinding.example:{server.server_address[1]}/ok/1.jpg"
        assert Fetcher(Limits(**HASTY)).fetch(url) == (jpeg(1), ".jpg")
    assert asked == {"rebinding.example": 1}


def test_tls_is_told_the_name_and_not_the_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[object] = []

    def wrapped(context: ssl.SSLContext, sock: socket.socket, **options: Any) -> ssl.SSLSocket:
        told.append((options.get("server_hostname"), context.check_hostname, context.verify_mode))
        raise ssl.SSLError("seen enough")

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", wrapped)
    named(monkeypatch, {"pictures.example": [["127.0.0.1"]]})
    fetcher = Fetcher(Limits(**HASTY, allow_private=True))
    with served() as server, pytest.raises(FetchError):
        fetcher.fetch(f"https://pictures.example:{server.server_address[1]}/ok/1.jpg")
    assert told == [("pictures.example", True, ssl.CERT_REQUIRED)]


@pytest.mark.parametrize(
    "url", ["file:///etc/hostname", "ftp://x/y", "gopher://x/", "//x/y", "data:image/png,x", "x"]
)
def test_other_schemes_are_refused(url: str) -> None:
    with pytest.raises(FetchError, match="no http or https address"):
        Fetcher(Limits(**HASTY)).fetch(url)
