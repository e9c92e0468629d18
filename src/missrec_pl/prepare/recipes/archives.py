"""Archives of several files as a folder, for as long as they are read."""

import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from missrec_pl.errors import DataError
from missrec_pl.system.names import inside


def is_archive(path: Path) -> bool:
    """Whether a file is a zip archive of several files, or a tar archive, packed or not."""
    if not path.is_file():
        return False
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if not name.endswith("/") and "__MACOSX" not in name]
        return len(names) > 1 and "[Content_Types].xml" not in names and path.suffix not in (".npz", ".pt", ".pth")
    return tarfile.is_tarfile(path)


@contextmanager
def as_folder(source: Path, beside: Path) -> Iterator[Path]:
    """The source itself, or the folder that its archive was unpacked to beside ``beside``; removed at the end.

    Raises:
        DataError: It is damaged, there is no room for its content, or a name in it leads out of the folder.
    """
    if not is_archive(source):
        yield source
        return
    beside.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{beside.name}.unpacked-", dir=beside.parent))
    try:
        _unpack(source, folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _unpack(source: Path, folder: Path) -> None:
    try:
        if zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                entries = {one.filename: one.file_size for one in archive.infolist() if not one.is_dir()}
                _check(entries, folder, source)
                archive.extractall(folder)
        else:
            with tarfile.open(source) as packed:
                members = [one for one in packed.getmembers() if one.isfile()]
                _check({one.name: one.size for one in members}, folder, source)
                packed.extractall(folder, members=members, filter="data")
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, RuntimeError) as error:
        raise DataError(f"{source}: cannot be unpacked ({error}); get the file again") from error


def _check(sizes: dict[str, int], folder: Path, source: Path) -> None:
    for name in sizes:
        inside(folder, name.removeprefix("./"), str(source))
    total, free = sum(sizes.values()), shutil.disk_usage(folder).free
    if total > 0.9 * free:
        raise DataError(
            f"{source}: {total / 1e9:.1f} GB unpacked, and {free / 1e9:.1f} GB are free; unpack it elsewhere"
        )
