"""Files by their first bytes, whatever they are called: how one is packed, and what kind it is of."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

from missrec_pl.errors import DataError

DAMAGE = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, NotImplementedError, RuntimeError)
"""What reading a packed file raises where it is cut off or damaged."""
_PACKINGS = {b"\x1f\x8b": "gzip", b"PK\x03\x04": "zip", b"PK\x05\x06": "zip", b"\xfd7zXZ\x00": "xz"}
_PACKINGS |= {b"\x28\xb5\x2f\xfd": "zstd", **{b"BZh%d1AY&SY" % level: "bz2" for level in range(1, 10)}}
_TABLES = {b"PAR1": "parquet", b"ARROW1": "arrow", b"\xff\xff\xff\xff": "arrow"}  # the last: a stream
_FOREIGN = {  # what is no table, and what to do
    b"7z\xbc\xaf\x27\x1c": "a 7z archive; unpack it",
    b"Rar!\x1a\x07": "a rar archive; unpack it",
    b"\xd0\xcf\x11\xe0": "an old Excel or Word file; save it as CSV",
    b"SQLite format 3": "an SQLite data base; export the table as CSV or Parquet",
    b"\x89HDF": "an HDF5 file; export the table as CSV or Parquet",
    b"\x80\x04\x95": "a Python pickle; write the table as Parquet",
    b"\x80\x05\x95": "a Python pickle; write the table as Parquet",
    b"%PDF-": "a PDF; export the table as CSV",
    b"Obj\x01": "an Avro file; convert it to Parquet",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch it with 'git lfs pull'",
}
_WEB = (b"<!doctype html", b"<html", b"<?xml")
_HEAD = 512
_DEPTH = 3  # a .csv.gz within a .zip, say


@contextmanager
def unpacked(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    """The content of a file, unpacked however it is called, and how it was packed: ``""``, ``gzip``, ``zip``, ...

    Raises:
        DataError: An archive of several files, a kind that is no table, or it cannot be opened.
    """
    try:
        stream: IO[bytes] = path.open("rb")
    except OSError as error:
        raise DataError(f"{path}: cannot be opened ({error.strerror}); expected a file") from error
    with ExitStack() as opened:
        opened.callback(stream.close)
        packings: list[str] = []
        try:
            for _ in range(_DEPTH):
                head = _peek(stream)
                packing = next((name for magic, name in _PACKINGS.items() if head.startswith(magic)), None)
                if packing is None:
                    break
                packings.append(packing)
                stream = opened.enter_context(_opened(stream, packing, path))
        except DAMAGE as error:
            raise DataError(f"{path}: cannot be read beyond line 0 ({error}); get the file again") from error
        _refuse_foreign(head, path)
        yield stream, "+".join(packings)


def kind_of(path: Path) -> str:
    """``parquet``, ``arrow``, ``json`` (objects, or a list of them), ``literals`` (Python's, by line) or ``text``.

    Raises:
        DataError: As :func:`unpacked`; or it is empty or cannot be unpacked.
    """
    with unpacked(path) as (stream, packing):
        head = _peek(stream)
    kind = next((name for magic, name in _TABLES.items() if head.startswith(magic)), None)
    if kind is not None:
        if packing:
            raise DataError(f"{path}: a {kind} file that is packed ({packing}) once more; unpack it")
        return kind
    for encoding in ("utf-16", "utf-32") if b"\x00" in head[:8] else ("utf-8-sig",):
        text = head.decode(encoding, "ignore").replace("\x00", "").lstrip()
        if text[:1] == "{":
            return "literals" if text[1:].lstrip()[:1] == "'" else "json"
        if text[:1] == "[" and text[1:].lstrip()[:1] in ("{", ""):
            return "json"
    return "text"


def _peek(stream: IO[bytes]) -> bytes:
    head = stream.read(_HEAD)
    stream.seek(0)
    return head


def _opened(stream: IO[bytes], packing: str, path: Path) -> IO[bytes]:
    if packing == "gzip":
        return cast("IO[bytes]", gzip.open(stream, "rb"))
    if packing == "bz2":
        return bz2.open(stream, "rb")
    if packing == "xz":
        return lzma.open(stream, "rb")
    if packing == "zstd":
        return io.BufferedReader(_Zstd(stream))
    archive = zipfile.ZipFile(stream)
    names = [name for name in archive.namelist() if not name.endswith("/")]
    if "[Content_Types].xml" in names:
        raise DataError(f"{path}: an Excel workbook or office document; save the sheet as CSV")
    files = [name for name in names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
    if len(files) != 1:
        listed = ", ".join(files[:5]) or "none"
        raise DataError(f"{path}: a zip archive of {len(files)} files ({listed}); unpack it and name one of them")
    if archive.getinfo(files[0]).flag_bits & 1:
        raise DataError(f"{path}: a zip archive with a password; unpack it")
    return archive.open(files[0])


class _Zstd(io.RawIOBase):
    """zstd by pyarrow, which Python has no module for before 3.14; starts again to seek to the beginning."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._started: list[IO[bytes]] = []  # one that is forgotten closes the stream
        self._unpacked = self._start()

    def _start(self) -> IO[bytes]:
        import pyarrow as pa

        self._stream.seek(0)
        unpacked = cast("IO[bytes]", pa.CompressedInputStream(pa.PythonFile(self._stream, "r"), "zstd"))
        self._started.append(unpacked)
        return unpacked

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        content = self._unpacked.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def seek(self, offset: int, whence: int = 0) -> int:
        if offset or whence:
            raise OSError("only to the beginning")
        self._unpacked = self._start()
        return 0


def _refuse_foreign(head: bytes, path: Path) -> None:
    what = next((told for magic, told in _FOREIGN.items() if head.startswith(magic)), None)
    if what is None and head.lstrip().lower().startswith(_WEB):
        what = "a web page or XML, perhaps an error page; download the file again"
    if what is None and head[257:262] == b"ustar":
        what = "a tar archive; unpack it and name the file"
    if what is not None:
        raise DataError(f"{path}: it is {what}")
