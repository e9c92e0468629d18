"""The real released folders: in ``MISSREC_SHARED_DATA``, or in ``shared/data`` beside the project."""

import os
from pathlib import Path

import numpy as np
import pytest

from missrec_pl.data.domain.folder import Domain
from missrec_pl.data.released import convert_released

SHARED = Path(os.environ.get("MISSREC_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "released"

#        folder                  users   items  training rows  {modality: (width, coverage)}
REAL = {
    "Scientific_mm_subset": (2_928, 1_585, 10_928, {"text": (512, 1.0), "image": (512, 1.0)}),
    "Scientific_mm_full": (8_442, 4_385, 34_101, {"text": (384, 1.0), "image": (512, 1585 / 4385)}),
    "Instruments": (17_112, 6_250, 84_890, {"text": (384, 1.0)}),
    "Office": (4_905, 2_420, 38_543, {"text": (384, 1.0)}),
    "Movies_action": (658, 960, 34_120, {"text": (384, 1.0), "image": (1280, 1.0)}),
    "Movies_comedy": (567, 798, 20_275, {"text": (384, 1.0), "image": (1280, 1.0)}),
    "Movies_drama": (290, 265, 4_624, {"text": (384, 1.0), "image": (1280, 1.0)}),
}


@pytest.mark.parametrize("name", REAL)
def test_prefixes_of_the_sequences_are_the_released_rows(name: str, tmp_path: Path) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip(f"{SHARED / name} is not here; set MISSREC_SHARED_DATA")
    users, items, training_rows, modalities = REAL[name]
    (path,) = convert_released(SHARED / name, tmp_path / name)
    domain = Domain.open(path, verify=True)
    assert (domain.num_users, domain.num_items) == (users, items)
    assert {key: (info.dim, pytest.approx(info.coverage)) for key, info in domain.modalities.items()} == modalities
    computed: dict[str, list[str]] = {"train": [], "valid": [], "test": []}
    for user in range(domain.num_users):
        sequence = [str(item - 1) for item in domain.sequences.of(user).tolist()]
        for end in range(1, len(sequence)):
            split = {len(sequence) - 1: "test", len(sequence) - 2: "valid"}.get(end, "train")
            computed[split].append(f"{user}\t{' '.join(sequence[max(0, end - 50) : end])}\t{sequence[end]}")
    for split, rows in computed.items():
        released = (SHARED / name / f"{name}.{split}.inter").read_text().splitlines()[1:]
        assert sorted(released) == sorted(rows)
    assert len(computed["train"]) == training_rows
    assert np.all(np.isfinite(domain.features("text")))
