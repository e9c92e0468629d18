"""The map between the released names and ours, there and back, and what does not fit it."""

import pytest
import torch
from released_names import to_released

from missrec_pl.checkpoints.imported.names import model_kwargs_of_released, name_rows, translate_released
from missrec_pl.errors import CheckpointError
from missrec_pl.nn import DataShape
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRecReleased

SIZES = {"hidden_size": 8, "num_heads": 2, "inner_size": 5, "interests": InterestSettings(2)}


def make_model(dims=None, **changes):
    torch.manual_seed(0)
    shape = DataShape(7, dims or {"text": 4, "image": 3}, max_history=6)
    model = MISSRecReleased(shape, compat=True, **{**SIZES, **changes})
    model.interests.update(
        torch.randn(2, 8), torch.randint(2, (7 * len(model.item_adapters.modalities),)), _nothing_missing(model)
    )
    return model


def _nothing_missing(model):
    mask = torch.zeros(8, len(model.item_adapters.modalities), dtype=torch.bool)
    mask[0] = True
    return mask


VARIANTS = [
    {},
    {"item_ids": True},
    {"fusion_concentration": None},
    {"dims": {"text": 4}},
    {"dims": {"image": 3}, "item_ids": True},
    {"num_encoder_layers": 3, "num_decoder_layers": 2},
]


@pytest.mark.parametrize("options", VARIANTS, ids=str)
def test_there_and_back(options):
    model = make_model(**options)
    ours = dict(model.state_dict())
    if len(model.item_adapters.modalities) == 1:  # nothing to weigh: theirs has no such factor
        del ours["fusion.concentration"]
    theirs = to_released(ours)
    back = translate_released(theirs).weights
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)
    kwargs = model_kwargs_of_released(theirs)
    assert kwargs.pop("feature_dims") == {n: a.in_features for n, a in model.item_adapters.linear.items()}
    assert kwargs["num_items"] == 7
    assert kwargs["num_prototypes"] == 2
    assert kwargs["transductive"] is options.get("item_ids", False)
    assert kwargs["num_encoder_layers"] == options.get("num_encoder_layers", 1)
    assert kwargs["num_decoder_layers"] == options.get("num_decoder_layers", 1)
    assert {name: kwargs[name] for name in ("hidden_size", "inner_size", "max_history")} == {
        "hidden_size": 8,
        "inner_size": 5,
        "max_history": 6,
    }
    if "fusion.concentration" in ours:
        assert (kwargs["fusion_concentration"] is None) is ("fusion_concentration" in options)


def test_projections_are_cut_in_the_order_query_key_value():
    state = to_released(make_model().state_dict())
    stacked = state["trm_model.decoder.layers.0.multihead_attn.in_proj_weight"]
    ours = translate_released(state).weights
    assert torch.equal(ours["decoder.blocks.0.cross_attention.query.weight"], stacked[:8])
    assert torch.equal(ours["decoder.blocks.0.cross_attention.key_value.weight"], stacked[8:])


def test_what_they_compute_with_the_weights_we_compute():
    """The layers of torch.nn.Transformer, given the state, against our blocks, given its translation."""
    model = make_model().eval()
    theirs = torch.nn.Transformer(8, 2, 1, 1, 5, 0.0, "gelu", layer_norm_eps=1e-12, batch_first=True).eval()
    state = {n.removeprefix("trm_model."): v for n, v in to_released(model.state_dict()).items() if n[:3] == "trm"}
    theirs.load_state_dict(state)
    source, queries = torch.randn(3, 4, 8), torch.randn(3, 5, 8)
    nothing = [torch.zeros(3, n, dtype=torch.bool) for n in (4, 5)]
    with torch.enable_grad():  # not their fast path
        ours = model.decoder(queries, nothing[1], model.encoder(source, nothing[0]), nothing[0])
        torch.testing.assert_close(ours, theirs(source, queries))


def test_a_pretrained_state_has_no_interests_and_features_are_left():
    state = to_released(make_model().state_dict())
    for name in ("interest_embeddings", "plm_interest_lookup_table", "img_interest_lookup_table"):
        del state[name]
    assert not any(name.startswith("fitted.") for name in translate_released(state).weights)
    assert "num_items" not in model_kwargs_of_released(state)
    state |= {
        "plm_embedding.weight": torch.zeros(8, 4),
        "plm_embedding_empty_mask": torch.ones(8, dtype=torch.bool),
    }
    found = translate_released(state)
    assert set(found.left) == {"plm_embedding.weight", "plm_embedding_empty_mask"}
    assert found.left["plm_embedding.weight"] == "features belong to the data"
    assert found.loaded["LayerNorm.weight"] == ("input_norm.weight",)
    assert set(found.loaded) | set(found.left) == set(state)


def test_weights_are_copies():
    state = to_released(make_model().state_dict())
    weights = translate_released(state).weights
    before = {name: value.clone() for name, value in state.items()}
    for value in weights.values():
        value.zero_()
    assert all(torch.equal(state[name], before[name]) for name in state)


def changed(**changes):
    state = to_released(make_model(item_ids=True).state_dict())
    for name, value in changes.items():
        name = name.replace("__", ".")
        if value is None:
            del state[name]
        else:
            state[name] = value
    return state


IN_PROJ = "trm_model__encoder__layers__0__self_attn__in_proj_weight"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"position_embedding__weight": None},
            "lacks position_embedding.weight: it is not a whole MISSRec network",
        ),
        ({IN_PROJ: None}, "lacks trm_model.encoder.layers.0.self_attn.in_proj_weight"),
        (
            {"trm_model__encoder__layers__1__norm1__bias": torch.zeros(8)},
            "lacks trm_model.encoder.layers.1.self_attn",
        ),
        (
            {IN_PROJ: torch.zeros(16, 8)},
            r"in_proj_weight of the released state_dict is \(16, 8\), but must be \(24, 8\)",
        ),
        ({"LayerNorm__bias": torch.zeros(9)}, r"LayerNorm.bias .* is \(9,\), but must be \(8\)"),
        ({"fusion_factor": torch.zeros(7)}, r"fusion_factor .* is \(7,\), but must be \(\)"),
        ({"item_embedding__weight": torch.zeros(9, 8)}, r"is \(8,\), but must be \(9\)"),
        ({"extra__weight": torch.zeros(1)}, "has 1 tensors that no MISSRec network has, e.g. extra.weight"),
        ({"interest_embeddings": None}, "has plm_interest_lookup_table without interest_embeddings"),
        ({"img_interest_lookup_table": None}, "has interest_embeddings without img_interest_lookup_table"),
        ({"img_interest_lookup_table": torch.full((8,), 3)}, r"names interests beyond 0..2"),
        (
            dict.fromkeys(f"{m}_adaptor__{p}" for m in ("text", "img") for p in ("weight", "bias")),
            "has none of the adapters text_adaptor, img_adaptor",
        ),
    ],
)
def test_what_does_not_fit_is_named(changes, message):
    with pytest.raises(CheckpointError, match=message):
        translate_released(changed(**changes))


def test_an_empty_state_is_refused():
    with pytest.raises(CheckpointError, match=r"lacks position_embedding.weight"):
        translate_released({})


def test_what_they_have_no_name_for_is_named():
    with pytest.raises(CheckpointError, match=r"has no tensor for scorers.seen.seen"):
        to_released({"scorers.seen.seen": torch.zeros(())})
    with pytest.raises(
        CheckpointError, match=r"needs all of .*query.bias, .*key_value.bias; found .*query.bias alone"
    ):
        to_released({"encoder.blocks.0.self_attention.query.bias": torch.zeros(8)})


def test_every_name_of_ours_occurs_once():
    rows = name_rows(2, 3)
    ours = [name for row in rows for name in row.ours]
    assert len(ours) == len(set(ours))
    assert len({row.theirs for row in rows}) == len(rows)
    assert set(make_model(num_encoder_layers=2, num_decoder_layers=3, item_ids=True).state_dict()) == {
        *ours,
        "fitted.interests.prototypes",
        "fitted.interests.assignment",
        "fitted.interests.num_refreshes",
    }
