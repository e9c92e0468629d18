"""Small copies of items' pictures beside a page."""

from collections.abc import Sequence
from pathlib import Path

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.domain.update import image_files
from missrec_pl.errors import DataError

FOLDER = "pictures"
_EDGE = 112  # pixels of the longer side
_QUALITY = 78
_MOST = 1500  # pictures of a page: some 6 MB


class Pictures:
    """Copies pictures as they are asked for.

    Args:
        folder: of the page.
        domains: whose items are shown.
        image_folders: where pictures may lie, besides in a domain's folder and in the folders beside it.

    Attributes:
        notes: why pictures are missing.
    """

    def __init__(self, folder: Path, domains: Sequence[Domain], image_folders: Sequence[Path] = ()) -> None:
        self.notes: list[str] = []
        self._folder, self._prefix = folder / FOLDER, f"{sum(1 for _ in (folder / FOLDER).glob('*'))}-"
        self._files: list[Path | None] = [None]
        self._made: dict[int, str | None] = {}
        for domain in domains:
            try:
                self._files += image_files(domain.path, domain.image_paths()[1:], image_folders)
            except DataError as error:
                self.notes.append(f"no pictures of {domain.name}: {error}")
                self._files += [None] * domain.num_items

    def of(self, item: int) -> str | None:
        """The address of a global item's picture on the page; None where there is none, or no room for more."""
        file = self._files[item]
        if item not in self._made:
            has_room = sum(made is not None for made in self._made.values()) < _MOST
            self._made[item] = self._copy(file, item) if has_room and file is not None else None
        return self._made[item]

    def _copy(self, file: Path, item: int) -> str | None:
        from PIL import Image, ImageOps

        target = self._folder / f"{self._prefix}{item}.jpg"
        try:
            with Image.open(file) as opened:
                small = ImageOps.exif_transpose(opened)
                small.thumbnail((_EDGE, _EDGE))
                self._folder.mkdir(exist_ok=True)
                small.convert("RGB").save(target, quality=_QUALITY)
        except (OSError, ValueError, Image.DecompressionBombError):
            return None
        return f"{FOLDER}/{target.name}"
