import math

import numpy as np
import pytest
import torch
from released_files import GOLDEN, save_released
from released_names import to_released
from runs import QUIET, composed, places, run_cli

from missrec_pl.checkpoints.imported.reading import read_released_checkpoint
from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.cli import NOISE
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train
from missrec_pl.prepare.__main__ import main

pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}") for message in NOISE]

WIDE = ("data=synthetic", "+data.source.dims={text: 48, image: 48}")


def run_import(source, out, *options):
    return main(["import-checkpoint", str(source), str(out), *options])


def imported(tmp_path, capsys, source=GOLDEN):
    """The imported checkpoint, its path and what was printed."""
    out = tmp_path / "imported.ckpt"
    assert run_import(source, out) == 0
    return read_checkpoint(out), out, capsys.readouterr().out


def flags_of(printed):
    """The settings that the report says to train with."""
    [command] = [line for line in printed.splitlines() if line.startswith("python train.py ")]
    return [word for word in command.split() if word.startswith(("ckpt=", "model", "data.max_history="))]


def test_the_golden_checkpoint_arrives_whole(tmp_path, capsys):
    checkpoint, out, printed = imported(tmp_path, capsys)
    theirs = read_released_checkpoint(GOLDEN).state
    back = to_released(checkpoint.weights)
    assert back.keys() == theirs.keys()
    for name, tensor in theirs.items():
        assert torch.equal(back[name], tensor), name
        assert f"loaded {name} as " in printed
    assert "left   optimizer: " in printed
    assert "widths of the features: text 48, image 48" in printed
    assert f"wrote {out}" in printed
    assert checkpoint.epochs == 10
    assert list(tmp_path.iterdir()) == [out]
    assert out.stat().st_size < 200_000  # no optimiser state


def test_the_config_has_their_hyperparameters(tmp_path, capsys):
    checkpoint, out, printed = imported(tmp_path, capsys)
    config = checkpoint.config
    assert config["phase"]["name"] == "pretrain"
    sizes = {"hidden_size": 32, "inner_size": 24, "num_heads": 4, "num_encoder_layers": 1, "num_decoder_layers": 1}
    more = {"dropout": 0.5, "fusion_concentration": 0.0, "collaborative": 0, "sequence_fusion": "add"}
    assert config["model"].items() >= (sizes | more).items()
    assert config["model"]["compat"] is True
    assert config["scorers"] == {}
    assert config["data"]["max_history"] == 12
    assert config["interest"]["num_prototypes"] == pytest.approx(0.1)
    objective = config["objective"]
    assert (objective["temperature"], objective["orthogonality_weight"]) == (0.07, 1e-4)
    assert (objective["seq_seq_weight"], objective["augmentation"]["probability"]) == (1e-3, 0.2)
    assert list(checkpoint.data) == ["small (imported from the authors' program)"]
    needed = ["model=missrec_released", "model.hidden_size=32", "model.inner_size=24", "data.max_history=12"]
    assert flags_of(printed) == [f"ckpt={out}", *needed]


@pytest.mark.slow
def test_fine_tuning_starts_from_it_as_printed(tmp_path, capsys):
    _, _, printed = imported(tmp_path, capsys)
    run = run_cli(*flags_of(printed), *WIDE, *QUIET, *places(tmp_path))
    assert run.returncode == 0, run.stderr
    assert "loaded 48 tensors of the checkpoint" in run.stdout
    assert (tmp_path / "run" / "results.json").is_file()


@pytest.mark.parametrize("model", ["missrec_released", "missrec_compat"])
def test_transductive_fine_tuning_with_and_without_the_released_quirks(model, tmp_path, capsys):
    _, _, printed = imported(tmp_path, capsys)
    flags = [flag.replace("model=missrec_released", f"model={model}") for flag in flags_of(printed)]
    settings = (*flags, "setting=transductive", *WIDE, *QUIET, *places(tmp_path))
    results = train(composed(*settings))
    assert results["init"] == "pretrained"
    assert math.isfinite(results["metrics"]["test/ndcg@10"])


def test_zero_shot_evaluation(tmp_path, capsys):
    _, out, _ = imported(tmp_path, capsys)
    results = evaluate(composed(f"ckpt={out}", "trainer=cpu", *WIDE, *places(tmp_path), config="eval"))
    assert results["init"] == "zero_shot"
    assert math.isfinite(results["metrics"]["test/ndcg@10"])


@pytest.mark.slow
def test_other_widths_are_no_zero_shot_evaluation(tmp_path, capsys):
    _, out, _ = imported(tmp_path, capsys)
    run = run_cli(f"ckpt={out}", "trainer=cpu", "data=synthetic", *places(tmp_path), script="eval.py")
    assert run.returncode == 2
    assert "adapters.linear.text.weight" in run.stderr
    assert "(32, 48) in the checkpoint, (32, 24) here" in run.stdout


def test_it_cannot_be_resumed(tmp_path, capsys):
    _, out, printed = imported(tmp_path, capsys)
    settings = (f"resume={out}", *flags_of(printed)[1:], "phase=pretrain", "scorers=none")
    with pytest.raises(CheckpointError, match=r"imported from the authors' program.*start a new one with ckpt"):
        train(composed(*settings, *WIDE, *QUIET, *places(tmp_path)))


def test_other_variants_say_what_to_repeat(tmp_path, capsys):
    changes = {"n_heads": 2, "item_mm_fusion": "static", "seq_mm_fusion": "contextual", "lambda": 0}
    source = save_released(tmp_path / "theirs.pth", config=changes, without=["fusion_factor"])
    checkpoint, _, printed = imported(tmp_path, capsys, source)
    assert checkpoint.config["model"]["fusion_concentration"] is None
    flags = flags_of(printed)
    assert {"model.num_heads=2", "model.sequence_fusion=contextual", "model.fusion_concentration=null"} <= {*flags}
    results = train(composed(*flags, *WIDE, *QUIET, *places(tmp_path)))
    assert results["init"] == "pretrained"


def test_a_fine_tuned_checkpoint_leaves_what_belongs_to_its_items(tmp_path, capsys):
    items = {"item_embedding.weight": torch.ones(6, 32), "interest_embeddings": torch.ones(4, 32)}
    items |= {f"{name}_interest_lookup_table": torch.ones(6, dtype=torch.long) for name in ("plm", "img")}
    items |= {f"{name}_embedding.weight": torch.ones(6, 48) for name in ("plm", "img")}
    source = save_released(
        tmp_path / "theirs.pth",
        state=items,
        config={"train_stage": "transductive_ft"},
        best_valid_score=np.float64(0.5),
    )
    checkpoint, _, printed = imported(tmp_path, capsys, source)
    for name in (*items, "best_valid_score"):
        assert f"left   {name}: " in printed
    assert not [name for name in checkpoint.weights if name.startswith(("interests.", "id_embedding."))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"without": ["LayerNorm.bias"]}, "lacks LayerNorm.bias"),
        ({"state": {"moe_adaptor.weight": torch.ones(2)}}, "e.g. moe_adaptor.weight"),
        ({"state": {"LayerNorm.bias": torch.full((32,), torch.nan)}}, "input_norm.bias holds NaN"),
        ({"config": {"n_heads": 5}}, "n_heads is no divisor of the hidden size 32"),
        ({"config": {"temperature": "0.07"}}, "temperature is no number"),
        ({"config": {"hidden_act": "relu"}}, "hidden_act is relu"),
        ({"config": {"item_mm_fusion": "dynamic_instance"}}, "item_mm_fusion is dynamic_instance"),
        ({"config": {"dataset": "${oc.env:HOME}"}}, None),
    ],
)
def test_what_is_no_network_of_ours(changes, message, tmp_path, capsys):
    source, out = save_released(tmp_path / "theirs.pth", **changes), tmp_path / "imported.ckpt"
    assert run_import(source, out) == (2 if message else 0)
    printed = capsys.readouterr()
    assert out.exists() is (message is None)
    if message:
        assert message in printed.err
        assert str(source) in printed.err
        assert printed.err.count("\n") == 1
    else:  # an interpolation is taken for no name
        assert read_checkpoint(out).config["data"]["name"] == "released"


def test_nothing_is_replaced_unasked(tmp_path, capsys):
    out = tmp_path / "imported.ckpt"
    out.write_text("mine")
    assert run_import(GOLDEN, out) == 2
    assert "exists already" in capsys.readouterr().err
    assert out.read_text() == "mine"
    assert run_import(GOLDEN, out, "--overwrite") == 0
    assert read_checkpoint(out).epochs == 10
    assert run_import(GOLDEN, tmp_path / "a=b.ckpt") == 2
    assert run_import(out, out, "--overwrite") == 2
    source = save_released(tmp_path / "theirs.pth")
    assert run_import(source, source, "--overwrite") == 2
    assert "is the file to import" in capsys.readouterr().err


def test_the_old_option_for_configs_is_taken_and_means_nothing(tmp_path, capsys):
    assert main(["import-checkpoint", str(GOLDEN), str(tmp_path / "x.ckpt"), "--configs", str(tmp_path)]) == 0
    assert read_checkpoint(tmp_path / "x.ckpt").epochs == 10
