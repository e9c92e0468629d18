"""Names of data sets and pictures stay in their folders; a data set's folder may be a link."""

from pathlib import Path

import pytest

from missrec_pl.data.domain.update import image_files
from missrec_pl.data.sources import DomainFolders, released_folders
from missrec_pl.errors import DataError


@pytest.mark.parametrize("name", ["../shop", "/shop", "", ".", "a\\b", "NUL", "shop."])
def test_a_data_set_is_below_the_data_folder(name: str, tmp_path: Path) -> None:
    for make in (
        lambda: DomainFolders([name], tmp_path),
        lambda: released_folders([name], str(tmp_path), "cache"),
    ):
        with pytest.raises(DataError, match=r"data\.name: .* leaves the data folder"):
            make()


def test_folders_of_data_sets_may_be_links(tmp_path: Path) -> None:
    (tmp_path / "disk" / "shop").mkdir(parents=True)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "shop").symlink_to(tmp_path / "disk" / "shop")
    assert DomainFolders(["shop"], tmp_path / "data").paths() == [tmp_path / "data" / "shop"]
    assert DomainFolders(["group/shop"], tmp_path / "data").paths() == [tmp_path / "data" / "group" / "shop"]


def test_pictures_lie_in_or_beside_the_domain_or_where_the_user_says(tmp_path: Path) -> None:
    shop, photos = tmp_path / "here" / "shop", tmp_path / "photos"
    shop.mkdir(parents=True)
    photos.mkdir()
    (photos / "a.jpg").touch()
    near = ["", "a.jpg", "../shop.images/00/a.jpg", str(tmp_path / "here" / "x.jpg")]
    assert image_files(shop, near)[2] == shop / "../shop.images/00/a.jpg"
    (shop / "link.jpg").symlink_to(photos / "a.jpg")
    for name in ("/etc/passwd", "../../photos/a.jpg", str(photos / "a.jpg"), "link.jpg", "a\0.jpg"):
        with pytest.raises(DataError, match=r"outside of .*--image-folder"):
            image_files(shop, [*near, name])
    assert image_files(shop, [str(photos / "a.jpg"), "link.jpg"], [photos])[0] == photos / "a.jpg"
