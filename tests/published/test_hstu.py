"""HSTU against what RecTools computes."""

import os

import pytest
import torch
from published_files import assert_equal, cases
from published_step import At, layers_of
from rectools_files import RecTools, common_mapping

from missrec_pl.nn.blocks.hstu_block import time_buckets
from missrec_pl.nn.hstu import HSTU

FOLDER = os.environ.get("GOLDEN_BASELINES_DIR")
BLOCK = "transformer_layers.stu_blocks."


def mapping_of(file):
    found, width = common_mapping(), file.shape.max_history
    for i in range(layers_of(file.state, BLOCK)):
        theirs, ours = f"{BLOCK}{i}", f"blocks.{i}"
        found[f"{theirs}.uvqk_proj"] = At(f"{ours}.projection.weight", transpose=True)
        found[f"{theirs}.rel_attn.time_weights"] = At(f"{ours}.time_bias")
        # Theirs has weights for later items, too, which no item sees; ours begins with the distance 0.
        found[f"{theirs}.rel_attn.pos_weights"] = At(f"{ours}.position_bias", theirs=slice(width), flip=True)
        for kind in ("weight", "bias"):
            found |= {
                f"{theirs}.output_mlp.{kind}": At(f"{ours}.output.{kind}"),
                f"{theirs}.norm_input.{kind}": At(f"{ours}.input_norm.{kind}"),
                f"{theirs}.norm_attn_output.{kind}": At(f"{ours}.attention_norm.{kind}"),
            }
    return {name: at for name, at in found.items() if name in file.state or "rel_attn" not in name}


@pytest.mark.parametrize("path", cases(FOLDER, "rectools_hstu"))
def test_rectools(path):
    file = RecTools(path)
    network = HSTU(
        file.shape,
        num_layers=layers_of(file.state, BLOCK),
        relative_time=any("time_weights" in name for name in file.state),
        relative_positions=any("pos_weights" in name for name in file.state),
        **file.options,
    )
    file.check(network, mapping_of(file), file.times)
    check_biases(file, network)


def check_biases(file, network):
    """Buckets and biases of real queries and the keys that they see."""
    is_real, width = file.is_real, file.shape.max_history
    is_seen = is_real[:, :, None] & is_real[:, None] & torch.ones(width, width, dtype=torch.bool).tril()
    bucket = time_buckets(file.times)
    # Ours is right-padded: the pairs of a history come in the same order.
    is_real = torch.arange(width) < file.history[1][:, None]
    is_own = is_real[:, :, None] & is_real[:, None] & torch.ones(width, width, dtype=torch.bool).tril()
    block = network.blocks[0]
    if "time_bucket" in file.out:
        assert torch.equal(bucket[is_own], file.out["time_bucket"][is_seen])
    if "block0_time_bias" in file.out:
        assert_equal(block.time_bias[bucket[is_own]], file.out["block0_time_bias"][is_seen], name="time_bias")
    if "block0_pos_bias" in file.out:
        place = torch.arange(width)
        distance = (place[:, None] - place).expand(len(is_own), -1, -1)
        theirs = file.out["block0_pos_bias"].expand(len(is_own), -1, -1)
        assert_equal(block.position_bias[distance[is_own]], theirs[is_seen], name="pos_bias")
