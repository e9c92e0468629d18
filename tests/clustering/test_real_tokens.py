"""All backends on real item tokens: CLIP features of products, through adapters."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from missrec_pl.clustering import dpc_knn
from missrec_pl.nn.blocks.modalities import ModalityAdapters

SHARED = Path(os.environ.get("MISSREC_SHARED_DATA", Path(__file__).parents[3] / "shared" / "data")) / "released"
FOLDER = SHARED / "Scientific_mm_subset"


def real_tokens(count: int) -> torch.Tensor:
    torch.manual_seed(0)
    adapters = ModalityAdapters({"text": 512, "image": 512}, 300)
    features = {
        name: torch.from_numpy(np.fromfile(FOLDER / f"{FOLDER.name}.{suffix}", "<f4").reshape(-1, 512))
        for name, suffix in {"text": "feat1CLS", "image": "feat3CLS"}.items()
    }
    rows = {name: torch.arange(len(values)) for name, values in features.items()}
    with torch.no_grad():
        tokens = adapters(features, rows, len(features["text"])).flatten(0, 1)
    return tokens[torch.randperm(len(tokens))[:count]]


@pytest.mark.slow
def test_backends_agree_on_two_thousand_real_tokens() -> None:
    if not FOLDER.is_dir():
        pytest.skip(f"{FOLDER} is not here; set MISSREC_SHARED_DATA")
    tokens = real_tokens(2000)
    dense, tiled, keops = (dpc_knn(tokens, 100, 16, backend=name) for name in ("dense", "tiled", "keops"))
    for other in (tiled, keops):
        assert torch.equal(other.centers, dense.centers)
        assert torch.equal(other.assignment, dense.assignment)
        torch.testing.assert_close(other.delta, dense.delta)
