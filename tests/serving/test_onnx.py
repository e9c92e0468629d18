"""The exported network: the same scores in onnxruntime, for any number and length of histories."""

import re
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from served_shop import IDS, ITEMS, SHAPE, SMALL, Clock, make, settle, table, written

from missrec_pl.data.items.table import ItemTable
from missrec_pl.errors import ConfigError
from missrec_pl.nn.contract import DataShape, ItemInputs
from missrec_pl.nn.missrec import MISSRec
from missrec_pl.nn.scorers import Scorers
from missrec_pl.serving.__main__ import main
from missrec_pl.serving.onnx import export_onnx
from missrec_pl.serving.scoring import Scoring, histories_of

pytestmark = pytest.mark.filterwarnings("ignore")


def bundle_of(kind):
    bundle = make("ids" if kind == "sasrec" else "tuned")
    if kind in ("paper", "of texts alone"):
        shape, known = SHAPE, table()
        if kind == "of texts alone":
            shape = {**SHAPE, "feature_dims": {"text": 5}, "num_present": {"text": ITEMS}}
            texts = {"text": known.rows["text"]}, {"text": known.features["text"]}
            known = ItemTable(known.ids, known.is_missing[:, :1], *texts)
        bundle.network = MISSRec(DataShape(**shape), **SMALL).eval()
        settle(bundle.network)
        bundle.items = bundle.network.encode_items(ItemInputs(known))
        record = {"name": "MISSRec", "arguments": {**SMALL, "item_ids": False}}
        bundle.scorers = Scorers({})
        bundle.manifest = replace(bundle.manifest, network=record, scorers={}, shape=shape)
    bundle.network.requires_grad_(False)
    bundle.items = bundle.items.apply(torch.Tensor.detach)
    return bundle


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sasrec", "paper", "of texts alone", "released"])
def test_the_same_scores_in_onnxruntime(kind, tmp_path):
    runtime = pytest.importorskip("onnxruntime")
    bundle = bundle_of(kind)
    (tmp_path / "bundle").mkdir()
    bundle.write(tmp_path / "bundle")
    # In a process of its own: the shape checks of the tests know no sizes that are symbols.
    command = [sys.executable, "-m", "missrec_pl.serving", "onnx", str(tmp_path / "bundle"), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    told = re.search(
        r"by the network alone, the bundle by (.*) as well: of .* has \d+ % among its own", done.stderr
    )
    assert (told[1] if told else "") == ", ".join(bundle.scorers)  # those that stay behind are named
    session = runtime.InferenceSession(str(tmp_path / "out" / "model.onnx"))
    given = {
        name: tensor.numpy() for name, tensor in load_file(tmp_path / "out" / "candidates.safetensors").items()
    }
    scoring = Scoring(bundle.network, bundle.scorers, 0.1, 5)
    for rows in ([[3]], [[1, 2, 3, 4, 5], [12]], [[7, 7], [9], [4, 8, 1]]):
        histories = histories_of(rows, 5, torch.device("cpu"))
        columns = torch.tensor([[2, 5, 11]]).expand(len(rows), -1)
        wanted = scoring.parts(histories, bundle.items, columns)["network"]
        some = {name: tensor[columns[0].numpy() - 1] for name, tensor in given.items()}
        inputs = {"history": histories.rows.numpy(), "length": histories.length.numpy(), **some}
        asked = {one.name: inputs[one.name] for one in session.get_inputs()}
        scores, _ = session.run(["scores", "state"], asked)
        np.testing.assert_allclose(scores, wanted, atol=1e-4)
    names = __import__("pyarrow.parquet").parquet.read_table(tmp_path / "out" / "items.parquet")
    assert names["raw_id"].to_pylist() == IDS


def test_what_is_no_onnx(tmp_path, monkeypatch, capsys):
    with pytest.raises(ConfigError, match="reads when items were met"):
        export_onnx(make("clock"), tmp_path / "out")
    assert Clock.reads == {"ids", "timestamps"}
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert main(["onnx", str(written(tmp_path / "ids", "ids")), str(tmp_path / "out")]) == 2
    assert "onnx needs onnxruntime: pip install" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
