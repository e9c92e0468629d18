"""Networks of content that are pre-trained on one domain and fine-tuned on another: UniSRec, ZESRec, VQ-Rec."""

import pytest
import torch
from runs import composed, places

from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.errors import ConfigError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train
from missrec_pl.fitting import product_codes

SMALL = ("model.hidden_size=16", "model.inner_size=16", "data.batch_size=64", "baselines.names=[]")
FAST = ("+phase.module.length_buckets=1", "model.dropout=0.1")  # at 16 units 0.5 may drop all of them
QUIET = ("trainer=cpu", "trainer.max_epochs=1", "trainer.limit_train_batches=3", "callbacks.progress=null")
DATA = (
    "data=synthetic",
    "data.by_phase.pretrain.count=1",
    "+data.source.num_users=80",
    "+data.source.num_items=60",
)
OPTIONS = {
    "unisrec": ("model.num_experts=2",),
    "zesrec": (),
    "vqrec": ("model.code_dim=4", "model.code_cap=8"),
}
NAMES = list(OPTIONS)
ADAPTERS = {
    "unisrec": ("item_adapters.", "encoder.input_norm."),
    "zesrec": ("item_adapters.",),
    "vqrec": ("item_adapters.", "encoder.input_norm.", "fitted.codes_"),
}


class Runs:
    """Runs of one network below a folder; those that others start from are made once."""

    def __init__(self, name, folder):
        self.name, self.folder, self.made = name, folder, {}

    def config(self, run, *said):
        where = places(self.folder, f"{self.name}_{run}")
        return composed(*DATA, f"model={self.name}", *SMALL, *FAST, *OPTIONS[self.name], *QUIET, *where, *said)

    def train(self, run, *said):
        if run not in self.made:
            self.made[run] = train(self.config(run, *said))
        return self.made[run]

    def best(self, run):
        return self.folder / f"{self.name}_{run}" / "checkpoints" / "best.ckpt"

    def weights(self, run, which="best"):
        return read_checkpoint(self.best(run).with_stem(which)).weights

    def evaluate(self, run, *said, name="eval"):
        where = places(self.folder, f"{self.name}_{name}_{run}")
        results = evaluate(composed(f"ckpt={self.best(run)}", *where, "trainer=cpu", *said, config="eval"))
        return {n: value for n, value in results["metrics"].items() if n.startswith("test/")}, results

    def pretrained(self):
        self.train("pretrain", "phase=pretrain")
        return f"ckpt={self.best('pretrain')}"

    def fine_tuned(self, setting="inductive"):
        return self.train(setting, f"setting={setting}", self.pretrained())


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("content")
    return {name: Runs(name, folder) for name in NAMES}


def of_test(results):
    return {name: value for name, value in results["metrics"].items() if name.startswith("test/")}


@pytest.mark.parametrize("name", NAMES)
def test_pretrained_then_fine_tuned_where_adapters_alone_train(runs, name):
    results = runs[name].fine_tuned()
    assert results["init"] == "pretrained"
    assert results["reads"] == ["features"]
    before, after = runs[name].weights("pretrain"), runs[name].weights("inductive", "last")
    changed = {one for one, weight in before.items() if not torch.equal(weight, after[one])}
    assert changed
    assert all(one.startswith(ADAPTERS[name]) for one in changed)


@pytest.mark.parametrize("name", NAMES)
def test_an_evaluation_repeats_the_test_and_fits_nothing(runs, name, monkeypatch):
    results = runs[name].fine_tuned()
    monkeypatch.setattr(product_codes, "_faiss", lambda: pytest.fail("the checkpoint has what encodes features"))
    assert runs[name].evaluate("inductive")[0] == of_test(results)


@pytest.mark.parametrize("name", NAMES)
def test_zero_shot(runs, name):
    runs[name].pretrained()
    other = ("data=synthetic", "+data.source.num_users=80", "+data.source.num_items=60")
    scores, results = runs[name].evaluate("pretrain", *other, name="zero")
    assert results["init"] == "zero_shot"
    assert scores["test/recall@10"] > 0


def test_unisrec_has_ids_where_it_is_transductive(runs):
    results = runs["unisrec"].fine_tuned("transductive")
    assert results["reads"] == ["features", "ids"]
    assert "id_embedding.weight" in runs["unisrec"].weights("transductive")
    assert runs["unisrec"].evaluate("transductive")[0] == of_test(results)


@pytest.mark.parametrize("name", ["unisrec", "vqrec"])
def test_reference_mode_pretrains(runs, name, caplog):
    caplog.set_level("INFO")
    said = (f"model={name}_reference", "data.modalities=[text]", *SMALL[:2], *OPTIONS[name])
    drop = ("+objective.augmentation.item_drop_share=1.0",) if name == "unisrec" else ()
    runs[name].train("published", *said, *drop, "phase=pretrain")
    assert "train/seq_item" in caplog.text
    assert ("train/seq_seq" in caplog.text) == (name == "unisrec")


def test_new_items_have_new_codes_and_the_same_items_keep_theirs(runs):
    runs["vqrec"].fine_tuned()
    names = [one for one in runs["vqrec"].weights("pretrain") if one.startswith("fitted.codes_")]
    source, target = runs["vqrec"].weights("pretrain"), runs["vqrec"].weights("inductive")
    assert {one.split(".")[1] for one in names} == {"codes_text", "codes_image"}
    for one in names:
        if not one.endswith("centre"):
            assert not torch.equal(source[one], target[one]), one
    runs["vqrec"].train("further", f"ckpt={runs['vqrec'].best('inductive')}", "seed=1")
    kept = runs["vqrec"].weights("further")
    for one in names:
        assert torch.equal(kept[one], target[one]), one


def test_a_learned_assignment_learns(runs):
    said = (runs["vqrec"].pretrained(), "model.assignment=learned", "finetune.from_ckpt=[assignments]")
    runs["vqrec"].train("assigned", *said)
    after = runs["vqrec"].weights("assigned", "last")
    own = torch.eye(8)
    for modality in ("text", "image"):
        logits = after[f"assignments.{modality}.logits"]
        assert not torch.equal(logits, logits[:1] * own + logits * (1 - own)), modality
        table = f"item_adapters.tables.{modality}.weight"
        assert torch.equal(after[table], runs["vqrec"].weights("pretrain")[table])


def test_a_resumed_run_is_an_undisturbed_one_and_fits_nothing(runs, monkeypatch):
    vqrec = runs["vqrec"]
    vqrec.train("whole", "trainer.max_epochs=2")
    vqrec.train("half")
    monkeypatch.setattr(product_codes, "_faiss", lambda: pytest.fail("the checkpoint has what encodes features"))
    vqrec.train("rest", "trainer.max_epochs=2", f"resume={vqrec.folder / 'vqrec_half'}")
    one, other = vqrec.weights("whole", "last"), vqrec.weights("rest", "last")
    for weight in one:
        assert torch.equal(one[weight], other[weight]), weight


def test_made_up_items_need_codes(runs):
    with pytest.raises(ConfigError, match=r"^objective=vqrec: pre-trains networks of codes, and UniSRec has none"):
        runs["unisrec"].train("without", "objective=vqrec", "phase=pretrain")
