from types import SimpleNamespace

import pytest
import torch
from tiny_runs import MODELS, make_model, make_scorers

from missrec_pl.checkpoints.transfer import (
    TransferReport,
    feature_modalities_of,
    modalities_of,
    transfer_scorers,
    transfer_weights,
)
from missrec_pl.errors import CheckpointError
from missrec_pl.nn import DataShape
from missrec_pl.nn.unisrec import UniSRec

TEXT, BOTH = {"text": 6}, {"text": 6, "image": 4}


def shop(dims, num_items=9):
    """A catalogue in which nothing is missing."""
    is_missing = torch.arange(num_items + 1)[:, None].expand(-1, len(dims)) == 0
    return SimpleNamespace(feature_dims=dims, num_items=num_items, is_missing=is_missing)


def network(dims=None, num_items=9, kind="missrec", fresh=False, **options):
    model = make_model(kind, shop(dims or TEXT, num_items), **options)
    if fresh:
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(0.125)
            model.interests.num_refreshes.zero_()
    return model


def scorers_of(dims, names=("seen", "content"), fresh=False):
    scorers = make_scorers(shop(dims), names)
    if fresh:
        with torch.no_grad():
            for parameter in scorers.parameters():
                parameter.fill_(0.125)
    return scorers


def state(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def assert_report_is_true(report, model, before, source):
    """Loaded tensors equal the checkpoint's, the others are as they were; nothing is left unsaid."""
    after = model.state_dict()
    assert sorted([*report.loaded, *report.new]) == sorted(after)
    assert set(report.left) == set(source) - set(report.loaded)
    for name in report.loaded:
        assert torch.equal(after[name], source[name]), name
    for name in report.new:
        assert torch.equal(after[name], before[name]), name


def transfer(model, source, **options):
    before = state(model)
    report = transfer_weights(model, source, **options)
    assert_report_is_true(report, model, before, source)
    return report


def transfer_of_scorers(scorers, source, ours, theirs):
    before = state(scorers)
    report = transfer_scorers(scorers, source, list(ours), list(theirs))
    assert all(name.startswith("scorers.") for name in (*report.loaded, *report.new, *report.left))
    cut = len("scorers.")
    plain = TransferReport(
        [name[cut:] for name in report.loaded],
        {name[cut:]: why for name, why in report.new.items()},
        {name[cut:]: why for name, why in report.left.items()},
    )
    assert_report_is_true(plain, scorers, before, source)
    return report


@pytest.mark.parametrize("kind", MODELS)
def test_other_items_take_everything_but_what_belongs_to_items(kind):
    source = state(network(kind=kind, num_items=9))
    report = transfer(network(kind=kind, num_items=7, fresh=True), source)
    bound = {"fitted.interests.prototypes", "fitted.interests.assignment", "fitted.interests.num_refreshes"}
    assert set(report.new) == set(report.left) == bound
    assert "item_adapters.linear.text.weight" in report.loaded
    assert "fusion.concentration" in report.loaded


def test_the_same_items_keep_their_ids_and_interests():
    source = state(network(item_ids=True))
    model = network(item_ids=True, fresh=True)
    report = transfer(model, source, same_items=True)
    assert not report.new
    assert not report.left
    assert not model.interests.is_empty


def test_as_many_items_are_not_the_same_items():
    source = state(network(item_ids=True))
    report = transfer(network(item_ids=True, fresh=True), source, same_items=False)
    assert report.new["id_embedding.weight"] == "belongs to the items of the data"
    assert "id_embedding.weight" in report.left


def test_a_transductive_network_starts_from_an_inductive_one_with_fresh_ids():
    report = transfer(network(item_ids=True, fresh=True), state(network()), same_items=True)
    assert report.new == {"id_embedding.weight": "not in the checkpoint"}


def test_an_inductive_network_leaves_the_ids():
    report = transfer(network(fresh=True), state(network(item_ids=True)))
    assert report.left["id_embedding.weight"] == "not part of this network"


def test_a_new_modality_gets_a_fresh_adapter_and_an_unknown_one_is_left():
    report = transfer(network(BOTH, fresh=True), state(network(TEXT)))
    fresh = {name for name in report.new if name.startswith("item_adapters.")}
    assert fresh == {"item_adapters.linear.image.weight", "item_adapters.linear.image.bias"}
    assert report.new["item_adapters.linear.image.weight"] == "not in the checkpoint"
    assert "item_adapters.linear.text.weight" in report.loaded
    report = transfer(network(TEXT, fresh=True), state(network(BOTH)))
    assert {"item_adapters.linear.image.weight", "item_adapters.linear.image.bias"} < set(report.left)


def test_another_feature_width_gets_a_wholly_fresh_adapter():
    report = transfer(network({"text": 6, "image": 5}, fresh=True), state(network(BOTH)))
    assert report.new["item_adapters.linear.image.weight"] == "(8, 4) in the checkpoint, (8, 5) here"
    assert report.new["item_adapters.linear.image.bias"] == "goes with item_adapters.linear.image.weight"
    assert "item_adapters.linear.image.bias" in report.left
    assert "item_adapters.linear.text.bias" in report.loaded


def test_features_of_another_encoder_get_a_fresh_adapter():
    why = {"image": "features by clip in the checkpoint, by dinov2 here"}
    report = transfer(network(BOTH, fresh=True), state(network(BOTH)), other_encoders=why)
    assert {name for name in report.new if name.startswith("item_adapters.")} == {
        "item_adapters.linear.image.weight",
        "item_adapters.linear.image.bias",
    }
    assert report.new["item_adapters.linear.image.weight"] == why["image"]
    assert f"new    item_adapters.linear.image.weight: {why['image']}" in report.lines()
    assert "item_adapters.linear.text.weight" in report.loaded


def test_an_adapter_of_many_weights_is_fresh_as_a_whole():
    def mixture(dims):
        return UniSRec(DataShape(7, dims), hidden_size=8, num_heads=2, inner_size=8, num_experts=3)

    weights = {f"item_adapters.experts.image.{name}" for name in ("gate", "noise", "shift", "weight")}
    report = transfer(mixture({"text": 3, "image": 5}), state(mixture({"text": 3, "image": 4})))
    assert set(report.new) == weights
    why = {"image": "features by clip in the checkpoint, by dinov2 here"}
    report = transfer(mixture(BOTH), state(mixture(BOTH)), other_encoders=why)
    assert set(report.new) == weights
    assert modalities_of(state(mixture(BOTH))) == list(BOTH)


def marked(dims):
    """A network and scorers in which each modality's entries and columns have numbers of its own."""
    model, scorers = network(dims, fresh=True), scorers_of(dims, fresh=True)
    marks = torch.tensor([{"text": 1.0, "image": 2.0, "audio": 3.0}[name] for name in dims])
    with torch.no_grad():
        scorers["content"].weight.copy_(marks)
        scorers["content"].decay_logit.copy_(-marks)
        model.interests.assignment.copy_(marks.expand(10, -1))
    return model, scorers


def test_columns_follow_the_names_of_their_modalities():
    turned = {"image": 4, "text": 6}
    model, scorers = network(turned, fresh=True), scorers_of(turned, fresh=True)
    their_model, their_scorers = marked(BOTH)
    report = transfer_weights(model, state(their_model), same_items=True)
    report += transfer_scorers(scorers, state(their_scorers), list(turned), list(BOTH))
    assert not report.new
    assert not report.left
    for ours, wanted in zip((model, scorers), marked(turned), strict=True):
        for name in ("content.weight", "content.decay_logit", "fitted.interests.assignment"):
            if name in wanted.state_dict():
                assert torch.equal(ours.state_dict()[name], wanted.state_dict()[name])


@pytest.mark.parametrize(("theirs", "ours"), [(TEXT, {"image": 6}), (BOTH, {"text": 6, "audio": 4})])
def test_columns_of_other_modalities_start_fresh(theirs, ours):
    model, scorers = marked(theirs)
    report = transfer(network(ours, fresh=True), state(model), same_items=True)
    report += transfer_of_scorers(scorers_of(ours, fresh=True), state(scorers), ours, theirs)
    why = f"of {', '.join(theirs)} in the checkpoint, of {', '.join(ours)} here"
    by_modality = ("scorers.content.weight", "scorers.content.decay_logit", "fitted.interests.assignment")
    assert [report.new[name] for name in by_modality] == [why] * 3
    assert {"scorers.seen.seen", "scorers.seen.last"} < set(report.loaded)


COLLABORATIVE = ["item_adapters.linear.collaborative.bias", "item_adapters.linear.collaborative.weight"]


def test_collaborative_vectors_and_their_adapter_belong_to_the_items():
    def fresh():
        return network(BOTH, collaborative=3, fresh=True)

    source = network(BOTH, collaborative=3)
    source.fitted["collaborative"].vectors.copy_(torch.arange(30.0).view(10, 3))
    report = transfer(fresh(), state(source), same_items=True)
    assert not report.new
    assert not report.left
    report = transfer(fresh(), state(source))
    assert sorted(name for name in report.new if "collaborative" in name) == [
        "fitted.collaborative.vectors",
        *COLLABORATIVE,
    ]
    assert set(report.new.values()) == {"belongs to the items of the data"}
    assert "item_adapters.linear.image.weight" in report.loaded


@pytest.mark.parametrize("width", [0, 4])
def test_a_network_with_other_collaborative_vectors_keeps_what_is_of_content(width):
    source = state(network(BOTH, collaborative=3))
    model = network(BOTH, collaborative=width, fresh=True)
    report = transfer(model, source, same_items=True)
    theirs = feature_modalities_of(source)
    assert theirs == list(BOTH)
    report += transfer_of_scorers(scorers_of(BOTH, fresh=True), state(scorers_of(BOTH)), BOTH, theirs)
    of_content = {"scorers.content.weight", "scorers.content.decay_logit", "item_adapters.linear.image.weight"}
    assert of_content < set(report.loaded)
    assert {*COLLABORATIVE, "fitted.collaborative.vectors"} <= set(report.left)


@pytest.mark.parametrize("dims", [TEXT, BOTH])
def test_an_interest_table_of_other_sizes_is_not_taken_by_halves(dims):
    """The same items, but other prototypes or modalities: stale indices would point past the table."""
    source = state(network(TEXT))
    source["fitted.interests.prototypes"] = source["fitted.interests.prototypes"][:-1]
    model = network(dims, fresh=True)
    report = transfer(model, source, same_items=True)
    assert {name for name in report.new if name.startswith("fitted.interests.")} == {
        "fitted.interests.prototypes",
        "fitted.interests.assignment",
        "fitted.interests.num_refreshes",
    }
    assert model.interests.is_empty  # so that an evaluation refreshes it first


def test_scorers_and_fusion_may_differ():
    plain = network(fusion_concentration=None)
    report = transfer(network(fresh=True), state(plain))
    assert "fusion.concentration" in report.new
    report = transfer(plain, state(network()))
    assert "fusion.concentration" in report.left
    seen = {"scorers.seen.seen", "scorers.seen.last"}
    report = transfer_of_scorers(scorers_of(TEXT, ["seen"], fresh=True), {}, TEXT, TEXT)
    assert set(report.new) == seen
    report = transfer_of_scorers(scorers_of(TEXT, []), state(scorers_of(TEXT, ["seen"])), TEXT, TEXT)
    assert set(report.left) == seen
    report = transfer_of_scorers(scorers_of(TEXT, ["seen"], fresh=True), state(scorers_of(TEXT)), TEXT, TEXT)
    assert set(report.loaded) == seen


@pytest.mark.parametrize(
    "changes",
    [
        {"hidden_size": 12},
        {"inner_size": 11},
        {"max_history": 7},
        {"num_encoder_layers": 2},
        {"num_decoder_layers": 2},
    ],
)
@pytest.mark.parametrize("direction", ["into", "from"])
def test_other_sizes_are_refused_and_nothing_is_copied(changes, direction):
    ours, theirs = ({}, changes) if direction == "into" else (changes, {})
    model, source = network(fresh=True, **ours), state(network(**theirs))
    before = state(model)
    with pytest.raises(
        CheckpointError, match=r"does not fit this model: \d+ tensors differ, e\.g\. .* Choose the model"
    ):
        transfer_weights(model, source)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_the_report_prints_a_line_per_fact():
    lines = transfer(network(BOTH, fresh=True), state(network(TEXT, item_ids=True))).lines()
    assert lines[0].startswith("loaded ")
    assert "new    item_adapters.linear.image.weight: not in the checkpoint" in lines
    assert "left   id_embedding.weight: not part of this network" in lines
