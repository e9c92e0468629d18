"""An evaluation says when its data is not what the checkpoint was trained on, although it has the same name."""

import json

import torch
from runs import composed, places

from missrec_pl.experiment.evaluate import evaluate


def test_data_that_changed_since_training_is_named(finetuned, shared, tmp_path, caplog):
    content = torch.load(finetuned[0] / "checkpoints" / "best.ckpt", weights_only=True)
    (name,) = content["missrec_pl"]["data"]
    content["missrec_pl"]["data"] = {name: "of another content"}
    torch.save(content, tmp_path / "best.ckpt")
    paths = [*places(tmp_path, "eval")[:1], *places(shared)[1:]]
    cfg = composed(f"ckpt={tmp_path / 'best.ckpt'}", *paths, "trainer=cpu", config="eval")
    results = evaluate(cfg)
    lines = [record.message for record in caplog.records if "changed since" in record.message]
    assert len(lines) == 1
    assert name in lines[0]
    assert (results["init"], results["changed_since_training"]) == ("zero_shot", [name])
    assert json.loads((tmp_path / "eval" / "results.json").read_text())["changed_since_training"] == [name]
