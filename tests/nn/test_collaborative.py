import numpy as np
import pytest
import torch
from contexts import context_of, flat
from tiny_models import (
    HIDDEN,
    KINDS,
    NUM_ITEMS,
    Features,
    embed,
    is_interest_padding,
    make_items,
    make_model,
    prototypes,
    score,
    shape_of,
    users_of,
)

from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape
from missrec_pl.nn.fitted import refit
from missrec_pl.nn.missrec import IDOnly, MISSRec, MISSRecReleased
from missrec_pl.nn.missrec import collaborative as source_file
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE, CollaborativeVectors, turned

torch.manual_seed(0)
TABLE = torch.nn.functional.normalize(torch.randn(7, 3), dim=1)
TABLE[0] = TABLE[4] = 0


def rotation(seed):
    random = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(3, 3, generator=random))[0]


@pytest.fixture
def context(memory_domain):
    """Makes contexts of six items."""
    return lambda *arguments: context_of(memory_domain("six", features={"text": [[1.0]] * 6}), *arguments)


@pytest.fixture
def fit(context, monkeypatch):
    """Fits a part to a graph whose embeddings are told."""

    def fitted(part, vectors, without_fold=None):
        monkeypatch.setattr(source_file, "spectral_embeddings", lambda *_: (vectors, without_fold))
        refit(part, context([[1, 2], [2, 3]]))

    return fitted


def test_vectors_of_items_and_who_has_none(fit):
    part = CollaborativeVectors(6, 3)
    assert part.is_empty
    fit(part, TABLE)
    assert not part.is_empty
    rows, is_unknown = part(torch.tensor([0, 5, 4, 1]))
    assert torch.equal(rows, TABLE[[0, 5, 4, 1]])
    assert is_unknown.tolist() == [True, False, True, False]


def test_a_fold_sees_its_own_table_turned_towards_that_of_all(fit):
    part = CollaborativeVectors(6, 3)
    fit(part, TABLE, torch.stack([TABLE @ rotation(1), TABLE @ rotation(2)]))
    for fold in (1, 0):
        torch.testing.assert_close(part(torch.arange(7), fold)[0], TABLE)


def test_turning_changes_no_cosine():
    other = torch.nn.functional.normalize(torch.randn(7, 3), dim=1)
    found = turned(other, TABLE)
    torch.testing.assert_close(found @ found.T, other @ other.T)
    assert (found * TABLE).sum() >= (other * TABLE).sum()


@pytest.mark.parametrize("loaded_first", [False, True])
def test_what_a_checkpoint_brings_stays_and_is_turned_towards(fit, loaded_first):
    source = CollaborativeVectors(6, 3)
    fit(source, TABLE @ rotation(5))
    part = CollaborativeVectors(6, 3)
    if loaded_first:
        part.load_state_dict(source.state_dict())
    fit(part, TABLE, TABLE[None].clone())
    if not loaded_first:
        part.load_state_dict(source.state_dict())
    assert torch.equal(part.vectors, source.vectors)
    torch.testing.assert_close(part(torch.arange(7), 0)[0], TABLE @ rotation(5))
    assert set(source.state_dict()) == {"vectors"}


def test_it_is_fitted_to_the_training_parts_by_folds(context):
    lines, folds = [(1, 2, 3), (2, 3, 1), (4, 5), (5, 4, 6)], np.array([0, 1, 0, 1])
    part = CollaborativeVectors(6, 3)
    refit(part, context(lines, folds))
    vectors, without_fold = source_file.spectral_embeddings(*flat(lines), 6, 3, folds)
    assert torch.equal(part.vectors, vectors)
    assert part.without_fold.shape == without_fold.shape == (2, 7, 3)
    assert torch.equal(part.without_fold, without_fold)  # before they are turned


def test_training_without_tables_is_an_error(fit):
    part = CollaborativeVectors(6, 3)
    fit(part, TABLE)
    with pytest.raises(RuntimeError, match="were not fitted by folds"):
        part(torch.arange(3), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_reads_them_as_one_more_modality(kind, fit):
    items = make_items(("text", "image", "audio"))
    audio = items.features["audio"] * ~items.is_missing[:, 2:]
    plain = make_model(kind, ("text", "image", "audio"), items)
    plain.interests.assignment[:, 2] = 0
    features = Features({name: items.features[name] for name in ("text", "image")}, items.is_missing[:, :2])
    architecture, options = KINDS[kind]
    model = architecture(
        shape_of(("text", "image"), num_folds=2), interests=prototypes(), collaborative=4, hidden_size=HIDDEN,
        num_heads=2, inner_size=11, **options,
    ).double().eval()  # fmt: skip
    weights = {n.replace("linear.audio", f"linear.{COLLABORATIVE}"): w for n, w in plain.state_dict().items()}
    model.load_state_dict({**weights, "fitted.collaborative.vectors": torch.zeros(NUM_ITEMS + 1, 4)})
    fit(model.fitted["collaborative"], audio)

    histories = [[3, 9, 1], [5], [14, 2, 8, 7, 4]]
    ours, theirs = embed(model, features), embed(plain, items)
    assert torch.equal(ours.is_missing, theirs.is_missing)
    users = [users_of(one, histories, table) for one, table in ((model, ours), (plain, theirs))]
    torch.testing.assert_close(users[0].state, users[1].state)
    assert torch.equal(*map(is_interest_padding, users))
    torch.testing.assert_close(score(model, users[0].state, ours), score(plain, users[1].state, theirs))
    left_out = ours.extra["no_interest"]
    assert torch.equal(left_out[:, :2], features.is_missing)
    assert left_out[:, 2].all()


def test_they_are_left_out_where_users_have_no_folds():
    plain = MISSRec(shape_of(("text",)), interests=prototypes(), collaborative=4)
    assert "collaborative" not in plain.fitted
    assert plain.item_adapters.modalities == ["text"]


def test_what_they_do_not_go_with():
    shape = DataShape(5, {"text": 3}, num_folds=2)
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: the released network has none"):
        MISSRecReleased(shape, collaborative=4, compat=True)
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: .*knows item IDs and nothing else"):
        IDOnly(shape, collaborative=4)
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: the data has features of that name"):
        MISSRec(DataShape(5, {COLLABORATIVE: 3}, num_folds=2), interests=prototypes(2), collaborative=4)
