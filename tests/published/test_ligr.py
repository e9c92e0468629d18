"""LiGR against what RecTools computes."""

import os

import pytest
from published_files import cases
from published_step import layers_of
from rectools_files import BLOCK, RecTools, ligr_mapping

from missrec_pl.nn.ligr import LiGR

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")


@pytest.mark.parametrize("path", cases(FOLDER, "rectools_ligr"))
def test_rectools(path):
    file = RecTools(path)
    network = LiGR(
        file.shape,
        inner_size=len(file.state[f"{BLOCK}0.feed_forward.ff_linear_1.weight"]),
        num_layers=layers_of(file.state, BLOCK),
        reference=not file.masks_padding,
        **file.options,
    )
    file.check(network, ligr_mapping(file))
