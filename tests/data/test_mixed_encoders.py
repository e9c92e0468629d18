"""Features of one modality in one run come from one encoder unless the user says otherwise."""

from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.manifest import Manifest, encoders_of, other_encoders
from missrec_pl.data.domain.writer import FeatureMatrix, UserBlock, stream_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.data.sources import DomainFolders
from missrec_pl.errors import DataError


def write(folder: Path, name: str, **encoders: str) -> None:
    rows = np.ones((2, 3), np.float32)
    stream_domain(
        folder / name,
        name=name,
        raw_item_ids=["x", "y"],
        texts=["", ""],
        users=[UserBlock(Sequences.from_lists([[1, 2]]), ["a"])],
        features={key: FeatureMatrix(rows, np.ones(2, bool), encoder) for key, encoder in encoders.items()},
    )


def test_one_encoder_for_each_modality(tmp_path: Path) -> None:
    write(tmp_path, "a", text="clip@1", image="clip@1")
    write(tmp_path, "b", text="clip@1", image="timm@2")
    write(tmp_path, "c", text="clip@1")
    DomainFolders(["a", "c"], str(tmp_path)).prepare()
    assert DomainFolders(["a", "c"], str(tmp_path)).paths() == [tmp_path / "a", tmp_path / "c"]
    with pytest.raises(
        DataError, match=r"image features .* \(clip@1 in a; timm@2 in b\).*allow_mixed_encoders=true"
    ):
        DomainFolders(["a", "b", "c"], str(tmp_path)).prepare()
    DomainFolders(["a", "b", "c"], str(tmp_path), allow_mixed_encoders=True).prepare()
    with pytest.raises(DataError, match="no domain folder at"):
        DomainFolders(["a", "nope"], str(tmp_path)).prepare()


def test_encoders_of_a_run(tmp_path: Path) -> None:
    write(tmp_path, "a", text="clip@1", image="timm@2")
    write(tmp_path, "b", text="clip@1", image="clip@1")
    manifests = [Manifest.read(tmp_path / name) for name in "ab"]
    assert encoders_of(manifests) == {"image": ["clip@1", "timm@2"], "text": ["clip@1"]}
    assert encoders_of([]) == {}


@pytest.mark.parametrize(
    ("theirs", "ours", "told"),
    [
        ({"text": ["clip"]}, {"text": ["clip"], "image": ["clip"]}, []),
        ({"text": ["clip", "lsa"]}, {"text": ["lsa"]}, []),
        ({"text": ["clip"]}, {"text": ["lsa"]}, ["text"]),
        ({"text": ["clip"]}, {"text": ["clip", "lsa"]}, ["text"]),
        ({"text": ["released:feat1CLS"]}, {"text": ["lsa"]}, []),
        ({"text": ["clip"]}, {"text": ["released:feat1CLS"]}, []),
        ({}, {"text": ["lsa"]}, []),
    ],
    ids=["the same", "one of theirs", "another", "one more", "theirs unknown", "ours unknown", "nobody noted it"],
)
def test_other_encoders_than_a_checkpoints(
    theirs: dict[str, list[str]], ours: dict[str, list[str]], told: list[str]
) -> None:
    assert list(other_encoders(theirs, ours)) == told
