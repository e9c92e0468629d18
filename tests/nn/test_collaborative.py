import pytest
import torch
from tiny_models import (
    HIDDEN,
    KINDS,
    MAX_HISTORY,
    NUM_ITEMS,
    NUM_PROTOTYPES,
    Items,
    embed,
    make_items,
    make_model,
    pad,
)

from missrec_pl.errors import ConfigError
from missrec_pl.nn import IDOnly, MISSRec, MISSRecReleased
from missrec_pl.nn.missrec.collaborative import COLLABORATIVE, CollaborativeVectors, turned

torch.manual_seed(0)
TABLE = torch.nn.functional.normalize(torch.randn(7, 3), dim=1)
TABLE[0] = TABLE[4] = 0


def rotation(seed):
    random = torch.Generator().manual_seed(seed)
    return torch.linalg.qr(torch.randn(3, 3, generator=random))[0]


def test_vectors_of_items_and_who_has_none():
    part = CollaborativeVectors(6, 3)
    part.attach(TABLE)
    rows, is_unknown = part(torch.tensor([0, 5, 4, 1]))
    assert torch.equal(rows, TABLE[[0, 5, 4, 1]])
    assert is_unknown.tolist() == [True, False, True, False]


def test_a_fold_sees_its_own_table_turned_towards_that_of_all():
    part = CollaborativeVectors(6, 3)
    part.attach(TABLE, torch.stack([TABLE @ rotation(1), TABLE @ rotation(2)]))
    for fold in (1, 0):
        torch.testing.assert_close(part(torch.arange(7), fold)[0], TABLE)


def test_turning_changes_no_cosine():
    other = torch.nn.functional.normalize(torch.randn(7, 3), dim=1)
    found = turned(other, TABLE)
    torch.testing.assert_close(found @ found.T, other @ other.T)
    assert (found * TABLE).sum() >= (other * TABLE).sum()


def test_what_a_checkpoint_brings_is_turned_towards():
    source = CollaborativeVectors(6, 3)
    source.attach(TABLE @ rotation(5))
    part = CollaborativeVectors(6, 3)
    part.attach(TABLE, TABLE[None].clone())
    part.load_state_dict(source.state_dict())
    torch.testing.assert_close(part(torch.arange(7), 0)[0], TABLE @ rotation(5))
    assert set(source.state_dict()) == {"vectors"}


def test_training_without_tables_is_an_error():
    part = CollaborativeVectors(6, 3)
    part.attach(TABLE)
    with pytest.raises(RuntimeError, match="no vectors that leave users out"):
        part(torch.arange(3), 0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_reads_them_as_one_more_modality(kind):
    items = make_items(("text", "image", "audio"))
    audio = items.features["audio"] * ~items.is_missing[:, 2:]
    plain = make_model(kind, ("text", "image", "audio"), items)
    plain.interests.assignment[:, 2] = 0
    features = Items({name: items.features[name] for name in ("text", "image")}, items.is_missing[:, :2])
    architecture, options = KINDS[kind]
    model = architecture(
        {name: plain.adapters.linear[name].in_features for name in ("text", "image")},
        NUM_ITEMS, NUM_PROTOTYPES, collaborative=4, hidden_size=HIDDEN, num_heads=2, inner_size=11,
        max_history=MAX_HISTORY, **options,
    ).double().eval()  # fmt: skip
    weights = {n.replace("linear.audio", f"linear.{COLLABORATIVE}"): w for n, w in plain.state_dict().items()}
    model.load_state_dict({**weights, "collaborative.vectors": torch.zeros(NUM_ITEMS + 1, 4)})
    model.collaborative.attach(audio)

    history, length = pad([[3, 9, 1], [5], [14, 2, 8, 7, 4]])
    ours, theirs = embed(model, features), embed(plain, items)
    assert torch.equal(ours.is_missing, theirs.is_missing)
    states = [one.encode_users(history, length, table).state for one, table in ((model, ours), (plain, theirs))]
    torch.testing.assert_close(*states)
    torch.testing.assert_close(model.score(states[0], ours), plain.score(states[1], theirs))
    left_out = model.without_interest(ours)
    assert torch.equal(left_out[:, :2], features.is_missing)
    assert left_out[:, 2].all()


def test_what_they_do_not_go_with():
    dims = {"text": 3}
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: the released network has none"):
        MISSRecReleased(dims, 5, 2, collaborative=4, compat=True, history_bias="none")
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: .*knows item IDs and nothing else"):
        IDOnly(dims, 5, 2, collaborative=4)
    with pytest.raises(ConfigError, match=r"model\.collaborative=4: the data has features of that name"):
        MISSRec({COLLABORATIVE: 3}, 5, 2, collaborative=4)
