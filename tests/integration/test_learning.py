"""From scratch, from a checkpoint, zero-shot: what trains, what stays, and what comes out."""

import pytest
import torch
from runs import composed, places, tiny

from missrec_pl.checkpoints.files import RECORD
from missrec_pl.checkpoints.reading import read_checkpoint
from missrec_pl.errors import CheckpointError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train


def best(folder):
    return folder / "checkpoints" / "best.ckpt"


def test_metrics(results):
    return {name: value for name, value in results["metrics"].items() if name.startswith("test/")}


test_metrics.__test__ = False


def evaluation(checkpoint, tmp_path, *overrides, cache=None):
    cfg = composed(f"ckpt={checkpoint}", "trainer=cpu", *places(tmp_path, "eval"), *overrides, config="eval")
    cfg.paths.data_dir, cfg.paths.cache_dir = None, cache  # None: as in training
    return evaluate(cfg)


@pytest.mark.parametrize(
    ("model", "setting"),
    [
        pytest.param("missrec", "inductive", marks=pytest.mark.slow),
        ("missrec", "transductive"),
        ("missrec_released", "inductive"),
        pytest.param("missrec_released", "transductive", marks=pytest.mark.slow),
    ],
)
def test_a_batch_is_learned_by_heart(model, setting, shared):
    """Every training row ranks its own target first among all items."""
    overrides = (
        "baselines.names=[text_knn]",
        "data.overfit_rows=32",
        "optim.optimizer.lr=0.01",
        "trainer.max_epochs=200",
    )
    name = f"overfit-{model}-{setting}"
    cfg = tiny(shared, "debug=overfit", f"model={model}", f"setting={setting}", *overrides, name=name)
    results = train(cfg)
    assert results["metrics"]["test/recall@1"] == 1.0
    assert results["metrics"]["test/mrr"] == 1.0
    assert results["baselines"]["text_knn"]["test/recall@1"] < 0.5


def test_evaluation_repeats_the_test_of_the_fit(finetuned, tmp_path):
    folder, results = finetuned
    again = evaluation(best(folder), tmp_path)
    assert test_metrics(again) == test_metrics(results)
    assert again["baselines"] == results["baselines"]
    assert (again["phase"], again["init"], again["timing"]["fit_s"]) == ("eval", "scratch", None)
    assert again["timing"]["interest_refresh_s"] == []  # the table came with the checkpoint


@pytest.mark.parametrize("setting", ["inductive", "transductive"])
def test_adapters_recipe_leaves_the_rest_as_pretrained(setting, pretrained, shared, caplog):
    """Also with a modality (image) that pre-training never saw: its adapter is new, and the report says so."""
    caplog.set_level("INFO", "missrec_pl")
    folder, _ = pretrained
    name = f"from-pretrained-{setting}"
    results = train(tiny(shared, f"setting={setting}", f"ckpt={best(folder)}", name=name))
    assert results["init"] == "pretrained"
    assert results["modalities"] == ["text", "image"]
    assert results["ckpt_origin"] == {
        "phase": "pretrain",
        "data": "synthetic_0+synthetic_1+synthetic_2",
        "setting": "inductive",
        "experiment": None,
        "experiment_model": None,
        "overrides": [],
        "ckpt_origin": None,
    }
    assert "item_adapters.linear.image" in caplog.text

    made = read_checkpoint(best(shared / name))
    assert made.config["command"]["ckpt_origin"] == results["ckpt_origin"]  # an evaluation says it, too
    source, own = read_checkpoint(best(folder)).weights, made.weights
    trains = ("item_adapters.", "fusion.", "id_embedding.", "fitted.interests.")
    frozen = [name for name in own if not name.startswith(trains)]
    assert frozen
    assert [name for name in frozen if not torch.equal(source[name], own[name])] == []
    moved = [name for name in source if name.startswith(trains[:2]) and not torch.equal(source[name], own[name])]
    assert "item_adapters.linear.text.weight" in moved
    assert sum(own[name].numel() for name in frozen) == results["num_params"] - results["num_trainable_params"]
    assert ("id_embedding.weight" in own) == (setting == "transductive")


def test_full_recipe_trains_everything_from_the_loaded_weights(pretrained, shared):
    """With a vanishing step the loaded network scores as in zero-shot evaluation, not as a fresh one."""
    folder, _ = pretrained
    text = "data.modalities=[text]"
    still = ("optim.optimizer.lr=1e-12", "optim.scorer_lr=1e-12", text)
    fresh = train(tiny(shared, *still, name="fresh"))
    loaded = train(tiny(shared, *still, "finetune=full", f"ckpt={best(folder)}", name="loaded"))
    zero_shot = evaluation(best(folder), shared, "data=synthetic", text)
    assert loaded["num_trainable_params"] == fresh["num_trainable_params"]
    assert loaded["metrics"]["test/mrr"] != fresh["metrics"]["test/mrr"]
    assert loaded["metrics"]["test/mrr"] == pytest.approx(zero_shot["metrics"]["test/mrr"], abs=1e-4)


def test_zero_shot_evaluation_discovers_the_interests_of_the_new_items(pretrained, tmp_path):
    folder, _ = pretrained
    results = evaluation(best(folder), tmp_path, "data=synthetic", "data.modalities=[text]")
    assert results["init"] == "zero_shot"
    assert set(results["data_fingerprints"]) == {"synthetic_3"}  # the domain that fine-tuning takes
    assert len(results["timing"]["interest_refresh_s"]) == 1
    assert results["metrics"]["test/mrr"] > results["baselines"]["random"]["test/mrr"]


def test_collaborative_vectors_come_with_the_checkpoint_and_stay_behind_on_other_data(shared, tmp_path, caplog):
    """A network of one catalogue ranks another one by its features and by what is counted there."""
    run = train(tiny(shared, "model=missrec_tuned", "model.collaborative=8", name="collaborative"))
    checkpoint = best(shared / "collaborative")
    assert evaluation(checkpoint, tmp_path / "again")["metrics"]["test/mrr"] == run["metrics"]["test/mrr"]
    caplog.set_level("INFO", "missrec_pl")
    other = evaluation(checkpoint, tmp_path / "other", "data=synthetic", "data.source.seed=5")
    assert other["init"] == "zero_shot"
    assert other["metrics"]["test/mrr"] > other["baselines"]["random"]["test/mrr"]
    assert "other data: what is fitted by folds stays behind" in caplog.text


def test_zero_shot_keeps_the_longest_history_of_the_network(shared, tmp_path):
    train(tiny(shared, "phase=pretrain", "data.max_history=5", name="short"))
    checkpoint = shared / "short" / "checkpoints" / "best.ckpt"
    results = evaluation(checkpoint, tmp_path, "data=synthetic")
    assert read_checkpoint(checkpoint).weights["position_embedding.weight"].shape[0] == 5
    assert results["metrics"]["test/mrr"] > 0


def test_zero_shot_with_an_untrained_adapter_is_refused(pretrained, tmp_path):
    folder, _ = pretrained
    with pytest.raises(
        CheckpointError, match=r"item_adapters.linear.image.*the modalities that it knows \(text\)"
    ):
        evaluation(best(folder), tmp_path, "data=synthetic", "data.modalities=[text,image]")


def test_features_of_another_encoder_are_not_read_with_the_checkpoints_adapter(pretrained, tmp_path):
    folder, _ = pretrained
    content = torch.load(best(folder), weights_only=True)
    assert content[RECORD]["encoders"]["text"] == ["synthetic-projection"]
    content[RECORD]["encoders"]["text"] = ["another"]
    other = tmp_path / "other.ckpt"
    torch.save(content, other)
    why = (
        r"item_adapters.linear.text.weight \(features by another in the checkpoint, by synthetic-projection here\)"
    )
    with pytest.raises(CheckpointError, match=why):
        evaluation(other, tmp_path, "data=synthetic", "data.modalities=[text]")


@pytest.mark.parametrize("model", ["missrec", pytest.param("missrec_released", marks=pytest.mark.slow)])
def test_both_models_pretrain_and_finetune(model, shared):
    train(tiny(shared, "phase=pretrain", f"model={model}", name=f"{model}-pre"))
    checkpoint = best(shared / f"{model}-pre")
    results = train(tiny(shared, f"model={model}", f"ckpt={checkpoint}", name=f"{model}-fine"))
    assert 0 < results["num_trainable_params"] < results["num_params"]
    assert results["metrics"]["test/mrr"] > results["baselines"]["random"]["test/mrr"]


@pytest.mark.parametrize(
    "sampling", [pytest.param("temperature", marks=pytest.mark.slow), "single_domain_batches"]
)
def test_pretraining_with_other_domain_samplings(sampling, shared):
    overrides = ("phase=pretrain", f"data.domain_sampling={sampling}", "data.batch_size=256")
    results = train(tiny(shared, *overrides, name=sampling))
    assert 0 < results["metrics"]["val/ndcg@10"] < 1


def test_finetuning_on_sampled_candidates_is_evaluated_on_all_items(shared):
    fast = ("baselines.names=[random]", "trainer.max_epochs=2", "features=memmap")
    results = train(tiny(shared, "data.candidates=sampled", "data.num_negatives=40", *fast, name="sampled"))
    exact = train(tiny(shared, *fast, name="exact"))
    assert results["baselines"] == exact["baselines"]
    assert results["metrics"]["test/mrr"] == pytest.approx(exact["metrics"]["test/mrr"], rel=0.15)
    assert results["metrics"]["test/mrr"] > 1.5 * results["baselines"]["random"]["test/mrr"]
