"""A bundle ranks as the training code does, says what it is, and needs none of it to be read."""

import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
from compared_scores import ranking_of, served_scores, top_differs_by_more_than_ties
from runs import composed, places
from served_runs import BASES, QUICK, RUNS

from missrec_pl.errors import ConfigError
from missrec_pl.experiment.exporting import export_checkpoint
from missrec_pl.serving import load
from missrec_pl.serving.__main__ import main
from missrec_pl.serving.registry import networks

BLOCKED = """
import sys
for name in ("lightning", "hydra", "omegaconf", "wandb", "pytorch_lightning"):
    sys.modules[name] = None
from missrec_pl.serving import load
from missrec_pl.serving.request import Request
served = load(sys.argv[1])
served.answer(Request([served.item_ids[:3]])).ranked
assert not {"pandas", "scipy", "pyarrow.compute", "torch._dynamo"} & sys.modules.keys(), "slow to import"
table = served.recommend([served.item_ids[:3]], k=4)
print(table.num_rows, len(served.similar(served.item_ids[0], 3)))
"""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in RUNS]
)
def test_scores_are_the_training_codes(name, bundle, checkpoint, shared):
    ranking = ranking_of(checkpoint(name), *places(shared, f"eval-{name}"))
    found, table = served_scores(load(bundle(name)), ranking)
    np.testing.assert_allclose(found, ranking.scores, atol=1e-5, rtol=0)
    assert top_differs_by_more_than_ties(ranking, table, 10) == []


@pytest.mark.slow
def test_items_that_come_after_pretraining_on_clusters(bundle):
    served = load(bundle("s3rec_pretrained"))
    network, dims = served._bundle.network, served.about.data.feature_dims
    hidden, before = network.item_embedding.weight[-1].clone(), served.num_items
    served.add_items(["new"], features={name: np.ones((1, width)) for name, width in dims.items()})
    assert 1 <= int(network.fitted["attributes"].values[-1]) <= 8
    assert len(network.item_embedding.weight) == before + 3
    assert np.array_equal(network.item_embedding.weight[-1], hidden)
    assert served.recommend([served.item_ids[-2:]], k=3).num_rows == 3


@pytest.mark.slow
def test_every_network_has_a_run():
    targets = [str(composed("data=synthetic", *overrides).model["_target_"]) for overrides in RUNS.values()]
    assert {target.rpartition(".")[2] for target in targets} == networks().keys() - set(BASES)


def test_nothing_of_the_training_code_is_needed(bundle):
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED, str(bundle("tuned"))], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["4", "3"]


def test_it_says_what_it_is_and_not_where_it_was(bundle, shared):
    text = (bundle("tuned") / "bundle.json").read_text()
    content = json.loads(text)
    assert content["schema_version"] == 1
    assert content["network"]["name"] == "MISSRecReleased"
    assert content["network"]["arguments"]["collaborative"] == 4
    assert content["network"]["arguments"]["interests"]["$part"] == "InterestSettings"
    assert list(content["scorers"]) == ["seen", "cooccurrence", "content"]
    assert content["whitening"] == ["image", "text"]
    assert len(content["domains"]) == 1
    assert set(content["encoders"]) == {"image", "text"}
    assert str(shared) not in text
    assert not re.search(r"/(tmp|home|root|work)\b|missrec_pl\.nn|_target_", text)
    assert sorted(file.name for file in bundle("tuned").iterdir()) == [
        "bundle.json",
        "items.parquet",
        "weights.safetensors",
    ]


def test_metrics_of_the_run_come_along(checkpoint, tmp_path):
    file = checkpoint("sasrec")
    results = file.parent.parent / "results.json"
    before = results.read_text()
    content = json.loads(before)
    content["metrics"]["test/recall@10"] = 0.25
    content["metrics"]["val/recall@10"] = 0.5
    try:
        results.write_text(json.dumps(content))
        manifest = load(export_checkpoint(file, tmp_path / "out")).about
    finally:
        results.write_text(before)
    assert manifest.metrics == {"test/recall@10": 0.25}


def test_a_folder_that_is_taken_is_not_written_over(bundle, checkpoint, tmp_path, capsys):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.tex").write_text("mine")
    with pytest.raises(ConfigError, match="exists already"):
        export_checkpoint(checkpoint("sasrec"), taken)
    assert main(["export", str(checkpoint("sasrec")), str(taken), "--overwrite"]) == 2
    assert "is no bundle and is not overwritten" in capsys.readouterr().err
    assert [file.name for file in taken.iterdir()] == ["thesis.tex"]
    assert main(["export", str(checkpoint("sasrec")), str(tmp_path / "new")]) == 0
    assert main(["export", str(checkpoint("sasrec")), str(tmp_path / "new"), "--overwrite"]) == 0
    assert [folder.name for folder in tmp_path.iterdir() if folder.name.startswith(".")] == []


def test_what_fails_leaves_nothing(tmp_path, capsys):
    (tmp_path / "broken.ckpt").write_bytes(b"no weights")
    assert main(["export", str(tmp_path / "broken.ckpt"), str(tmp_path / "out")]) == 2
    assert "cannot be read" in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["broken.ckpt"]


def test_a_bundle_opens_quickly(bundle):
    folder = bundle("tuned")
    load(folder)
    start = time.perf_counter()
    load(folder)
    assert time.perf_counter() - start < 2
