"""What users get wrong, end to end: a typed error whose message says what, where and what to do."""

import json
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from runs import SMALL, composed, places, tiny

from missrec_pl.data.domain.writer import FeatureMatrix, write_domain
from missrec_pl.data.sequences import Sequences
from missrec_pl.errors import CheckpointError, ConfigError, DataError
from missrec_pl.experiment.evaluate import evaluate
from missrec_pl.experiment.train import train

HEADER = "user_id:token\titem_id_list:token_seq\titem_id:token\n"
USERS, ITEMS, WIDTH = 6, 12, 4


def walks():
    """Chronological items (from 0) of every user."""
    return [[(user + 2 * step) % ITEMS for step in range(6)] for user in range(USERS)]


def released(folder, *, width=WIDTH):
    """A small folder in the authors' format."""
    folder.mkdir(parents=True)
    rows = {"train": [], "valid": [], "test": []}
    for user, walk in enumerate(walks()):
        for end in range(1, len(walk)):
            split = {len(walk) - 1: "test", len(walk) - 2: "valid"}.get(end, "train")
            rows[split].append(f"{user}\t{' '.join(map(str, walk[:end]))}\t{walk[end]}\n")
    for split, lines in rows.items():
        (folder / f"{folder.name}.{split}.inter").write_text(HEADER + "".join(lines))
    (folder / f"{folder.name}.item2index").write_text("".join(f"raw{item}\t{item}\n" for item in range(ITEMS)))
    features = np.random.default_rng(0).normal(size=(ITEMS, width)).astype("<f4")
    (folder / f"{folder.name}.feat1CLS").write_bytes(features.tobytes())
    return folder


def native(folder, lists=None, width=WIDTH):
    """A small native domain folder."""
    lists = lists or [[item + 1 for item in walk] for walk in walks()]
    rows = np.random.default_rng(0).normal(size=(ITEMS, width)).astype(np.float32)
    return write_domain(
        folder,
        name=folder.name,
        raw_item_ids=[f"raw{item}" for item in range(ITEMS)],
        texts=["text"] * ITEMS,
        sequences=Sequences.from_lists(lists),
        raw_user_ids=[str(user) for user in range(len(lists))],
        features={"text": FeatureMatrix(rows, np.ones(ITEMS, bool), "test")},
    )


def run_on(tmp_path, kind, *overrides, name="shop"):
    """Train on ``<tmp_path>/data/<name>``."""
    small = (f"data={kind}", f"data.name={name}", *SMALL, "trainer=cpu", "trainer.max_epochs=1")
    return train(composed(*small, "callbacks.progress=null", *places(tmp_path), *overrides))


def refused(tmp_path, kind, error, *parts, overrides=(), name="shop"):
    with pytest.raises(error) as caught:
        run_on(tmp_path, kind, *overrides, name=name)
    for part in parts:
        assert part in str(caught.value)
    assert not list(tmp_path.rglob("*.ckpt"))
    assert not list(tmp_path.rglob("results.json"))


@pytest.mark.parametrize("kind", ["released", "domain"])
def test_intact_folders_train(tmp_path, kind):
    {"released": released, "domain": native}[kind](tmp_path / "data" / "shop")
    results = run_on(tmp_path, kind, "interest.method.k=3", "interest.num_prototypes=3")
    assert results["data"] == "shop"


@pytest.mark.parametrize("kind", ["released", "domain"])
def test_missing_folder_names_what_lies_beside(tmp_path, kind):
    (tmp_path / "data" / "shopp").mkdir(parents=True)
    refused(tmp_path, kind, DataError, str(tmp_path / "data" / "shop"), "did you mean 'shopp'?")


def test_missing_data_dir_names_the_flag(tmp_path):
    refused(tmp_path, "released", DataError, "does not exist either; check paths.data_dir")


def test_truncated_features_of_a_released_folder(tmp_path):
    folder = released(tmp_path / "data" / "shop")
    file = folder / "shop.feat1CLS"
    file.write_bytes(file.read_bytes()[:-6])
    refused(tmp_path, "released", DataError, "shop.feat1CLS", f"are not {ITEMS} rows of float32", "truncated")


def test_truncated_features_of_a_native_folder(tmp_path):
    file = native(tmp_path / "data" / "shop") / "features" / "text.npy"
    file.write_bytes(file.read_bytes()[:-6])
    refused(tmp_path, "domain", DataError, "features/text.npy", "truncated", "prepare the domain again")


def test_wrong_width_of_a_view(tmp_path):
    folder = released(tmp_path / "data" / "shop")
    (folder / "shop.feat2CLS").write_bytes(np.ones((ITEMS, WIDTH + 1), "<f4").tobytes())
    refused(tmp_path, "released", DataError, "shop.feat2CLS has wrong width 5", "shop.feat1CLS", "has 4")


def test_widths_that_differ_between_domains(tmp_path):
    native(tmp_path / "data" / "shop")
    native(tmp_path / "data" / "market", width=WIDTH + 3)
    overrides = ("phase=pretrain", "data.domains=[shop,market]")
    refused(tmp_path, "domain", DataError, "'text' has different widths", "'market': 7", overrides=overrides)


def test_nan_features_of_a_released_folder_name_the_row(tmp_path):
    folder = released(tmp_path / "data" / "shop")
    rows = np.ones((ITEMS, WIDTH), "<f4")
    rows[7, 2] = np.nan
    (folder / "shop.feat1CLS").write_bytes(rows.tobytes())
    refused(tmp_path, "released", DataError, "shop.feat1CLS: row 7 (item raw7) has NaN", "extract them again")


@pytest.mark.parametrize("placement", ["device", "host"])
def test_nan_features_of_a_native_folder_name_the_item(tmp_path, placement):
    file = native(tmp_path / "data" / "shop") / "features" / "text.npy"
    rows = np.load(file)
    rows[7, 2] = np.nan
    np.save(file, rows)
    overrides = (f"features={placement}",)
    refused(tmp_path, "domain", DataError, "shop: text features of item 7", "NaN", overrides=overrides)


def test_item_outside_of_a_released_catalogue_names_the_line(tmp_path):
    file = released(tmp_path / "data" / "shop") / "shop.test.inter"
    file.write_text(file.read_text().replace("\n", "\n99\t0 1\t77\n", 1))
    refused(tmp_path, "released", DataError, "shop.test.inter:2: item 77 is outside the catalogue", "rows 0..11")


def test_item_outside_of_a_native_catalogue_names_the_user(tmp_path):
    folder = native(tmp_path / "data" / "shop")
    table = pq.read_table(folder / "sequences.parquet")
    lists = table["items"].to_pylist()
    lists[3][1] = 50
    column = pa.array(lists, pa.list_(pa.int32()))
    pq.write_table(
        table.set_column(table.schema.get_field_index("items"), "items", column), folder / "sequences.parquet"
    )
    refused(tmp_path, "domain", DataError, "sequences.parquet: user 3 has item 50", "items 1..12")


def test_user_with_a_history_and_no_target(tmp_path):
    file = released(tmp_path / "data" / "shop") / "shop.test.inter"
    lines = file.read_text().splitlines(keepends=True)
    lines[2] = lines[2].rpartition("\t")[0] + "\t\n"
    file.write_text("".join(lines))
    refused(tmp_path, "released", DataError, "shop.test.inter:3: user 1 has a history but no target")


def test_user_without_a_test_row(tmp_path):
    file = released(tmp_path / "data" / "shop") / "shop.test.inter"
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))
    refused(tmp_path, "released", DataError, "user 5 has train rows but none in shop.test.inter")


@pytest.mark.parametrize("split", ["train", "valid", "test"])
def test_empty_split_of_a_released_folder(tmp_path, split):
    (released(tmp_path / "data" / "shop") / f"shop.{split}.inter").write_text(HEADER)
    refused(tmp_path, "released", DataError, f"shop.{split}.inter: the split is empty")


@pytest.mark.parametrize(
    ("length", "message"), [(1, "the test split of ['shop'] is empty"), (3, "training split")]
)
def test_sequences_too_short_to_split(tmp_path, length, message):
    native(
        tmp_path / "data" / "shop", lists=[[user + 1 + step for step in range(length)] for user in range(USERS)]
    )
    small = ("interest.method.k=3", "interest.num_prototypes=3")
    refused(tmp_path, "domain", DataError, message, "empty", overrides=small)


def test_broken_manifest(tmp_path):
    (native(tmp_path / "data" / "shop") / "domain.json").write_text("{")
    refused(tmp_path, "domain", DataError, "domain.json")


def test_unknown_modality(tmp_path):
    native(tmp_path / "data" / "shop")
    overrides = ("data.modalities=[text,audio]",)
    refused(tmp_path, "domain", DataError, "data.modalities names 'audio'", "['text']", overrides=overrides)


def test_more_prototypes_than_tokens_name_the_flag(tmp_path):
    native(tmp_path / "data" / "shop")
    overrides = ("interest.num_prototypes=500",)
    refused(tmp_path, "domain", ConfigError, "interest.num_prototypes=500", "1..12", overrides=overrides)


def test_global_time_without_timestamps(tmp_path):
    native(tmp_path / "data" / "shop")
    refused(tmp_path, "domain", DataError, "needs timestamps", overrides=("data.split=global_time",))


def test_unknown_part_of_the_recipe(pretrained, tmp_path):
    checkpoint = pretrained[0] / "checkpoints" / "best.ckpt"
    with pytest.raises(ConfigError, match=r"finetune.*\['adaptors'\].*choose among .*adapters"):
        train(tiny(tmp_path, f"ckpt={checkpoint}", "finetune.from_ckpt=[adaptors]"))


@pytest.fixture
def checkpoint(pretrained, tmp_path):
    """A checkpoint that a test may damage."""
    return shutil.copy(pretrained[0] / "checkpoints" / "best.ckpt", tmp_path / "copy.ckpt")


@pytest.mark.parametrize("flag", ["ckpt", "resume"])
@pytest.mark.parametrize("content", ["truncated", "text", "another program's"])
def test_no_checkpoint_of_ours(flag, content, checkpoint, tmp_path):
    if content == "truncated":
        checkpoint.write_bytes(checkpoint.read_bytes()[:2000])
    elif content == "text":
        checkpoint.write_text("these are not weights")
    else:
        torch.save({"state_dict": {}}, checkpoint)
    with pytest.raises(CheckpointError) as caught:
        train(tiny(tmp_path, f"{flag}={checkpoint}"))
    assert f"{flag}={checkpoint}" in str(caught.value)
    assert "best.ckpt" in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model=missrec"], "holds a MISSRecReleased, but the config builds a MISSRec"),
        (["model.hidden_size=64"], "the checkpoint does not fit this model"),
        (["data.max_history=20"], "the checkpoint does not fit this model"),
    ],
)
def test_checkpoint_of_another_model(overrides, message, checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match=message) as caught:
        train(tiny(tmp_path, f"ckpt={checkpoint}", *overrides))
    assert f"ckpt={checkpoint}" in str(caught.value)


def test_evaluation_of_a_checkpoint_that_is_not_there(tmp_path):
    cfg = composed(f"ckpt={tmp_path / 'none.ckpt'}", *places(tmp_path), config="eval")
    with pytest.raises(CheckpointError, match=r"none.ckpt: there is no such file"):
        evaluate(cfg)


def test_evaluation_of_a_transductive_checkpoint_on_other_items(shared, tmp_path):
    train(tiny(shared, "setting=transductive", name="with-ids"))
    checkpoint = shared / "with-ids" / "checkpoints" / "best.ckpt"
    cfg = composed(
        f"ckpt={checkpoint}", "trainer=cpu", *places(tmp_path), "data=synthetic",
        "data.by_phase.finetune.first=1", config="eval",
    )  # fmt: skip
    with pytest.raises(CheckpointError, match=r"id_embedding.weight \(.*\) would be random"):
        evaluate(cfg)


def test_results_are_json_without_nan(finetuned):
    content = (finetuned[0] / "results.json").read_text()
    assert json.loads(content, parse_constant=lambda name: pytest.fail(name))


@pytest.mark.parametrize(
    ("said", "theirs"),
    [("model.num_heads=4", "model.num_heads=2"), ("features.whitening=0.5", "features.whitening=0.0")],
)
def test_what_no_shape_tells_has_to_agree_with_the_checkpoint(finetuned, tmp_path, said, theirs):
    folder, _ = finetuned
    cfg = tiny(tmp_path, f"ckpt={folder / 'checkpoints/best.ckpt'}", said)
    now = said.partition("=")[2]
    with pytest.raises(CheckpointError, match=f"{theirs}, this run has {now}.*say {theirs}"):
        train(cfg)
