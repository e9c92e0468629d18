"""Several checkpoints that rank together."""

import json

import pyarrow.parquet as pq
import pytest
from runs import composed, places, tiny

from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train


@pytest.fixture(scope="module")
def other_seed(shared):
    return train(tiny(shared, "seed=7", name="member-7")), shared / "member-7"


def together(folder, tmp_path, *members, name="eval"):
    ensemble = ",".join(str(member) for member in members)
    cfg = composed(
        f"ckpt={best(folder)}", f"ensemble=[{ensemble}]", "trainer=cpu", *places(tmp_path, name), config="eval"
    )
    cfg.paths.data_dir, cfg.paths.cache_dir = None, None  # as in training
    return evaluate(cfg)


def best(folder):
    return folder / "checkpoints" / "best.ckpt"


def ranks(folder):
    return pq.read_table(folder / "test_ranks.parquet")["rank"].to_pylist()


def test_a_network_with_itself_ranks_as_it_does_alone(finetuned, tmp_path):
    folder, results = finetuned
    twice = together(folder, tmp_path, best(folder))
    assert twice["metrics"] == {name: v for name, v in results["metrics"].items() if name.startswith("test/")}
    assert ranks(tmp_path / "eval") == ranks(folder)
    assert twice["model"] == "MISSRecReleased x2"
    assert twice["num_params"] == 2 * results["num_params"]
    assert json.loads((tmp_path / "eval" / "results.json").read_text())["ensemble"] == [str(best(folder))]


def test_the_order_of_members_does_not_matter_and_each_has_a_say(finetuned, other_seed, tmp_path):
    _, other = other_seed
    folder, _ = finetuned
    first = together(folder, tmp_path, best(other))
    second = together(other, tmp_path, best(folder), name="swapped")
    assert first["metrics"] == pytest.approx(second["metrics"], abs=1e-6)
    assert ranks(tmp_path / "eval") != ranks(folder)
    assert ranks(tmp_path / "eval") != ranks(other)


def test_members_of_other_data_or_another_reading_are_refused(finetuned, pretrained, shared, tmp_path):
    folder, _ = finetuned
    with pytest.raises(
        CheckpointError, match=r"ensemble=.*best.ckpt is of phase=pretrain on synthetic_0, .*fine-tuned"
    ):
        together(folder, tmp_path, best(pretrained[0]))
    train(tiny(shared, "data.max_history=7", name="short"))
    with pytest.raises(CheckpointError, match=r"data.max_history=7, ckpt=.* with 50: members have to agree"):
        together(folder, tmp_path, best(shared / "short"))
    with pytest.raises(CheckpointError, match=r"ensemble=nowhere.ckpt: there is no such file"):
        together(folder, tmp_path, "nowhere.ckpt")
    assert not (tmp_path / "eval" / "results.json").exists()
