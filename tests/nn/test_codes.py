"""Items as codes: who they are fitted to, what is kept, missing modalities, made-up items, assignments."""

import pytest
import torch
from contexts import context_of

from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.errors import ConfigError
from missrec_pl.nn import DataShape, ItemInputs
from missrec_pl.nn.blocks.codes import Assignment, ProductCodes, PublishedAssignment, sinkhorn
from missrec_pl.nn.vqrec import VQRec

NUM_ITEMS, CPU = 24, torch.device("cpu")


@pytest.fixture
def domain(memory_domain):
    """The last items lack the image, and one of them the text, too; so many see no training part."""
    random = torch.Generator().manual_seed(0)
    text = torch.randn(NUM_ITEMS, 6, generator=random).tolist()
    image = torch.randn(NUM_ITEMS, 4, generator=random).tolist()
    image[-3:], text[-1] = [None] * 3, None
    return memory_domain("codes", features={"text": text, "image": image})


LINES = [list(range(1, 18)), [3, 4, 5]]


def make(domain, **options):
    pytest.importorskip("faiss", reason="pip install 'missrec-pl[vqrec]'")
    catalogue = Catalogue([domain], ["text", "image"])
    shape = DataShape(NUM_ITEMS, catalogue.feature_dims, max_history=5)
    sizes = {"hidden_size": 8, "num_heads": 2, "inner_size": 8, "code_dim": 2, "code_cap": 4}
    torch.manual_seed(0)
    network = VQRec(shape, **{**sizes, **options}).eval()
    for part in network.fitted_parts():
        part.fit(context_of(domain, LINES))
    return network, catalogue


def encoded(network, catalogue):
    return network.encode_items(ItemInputs(catalogue.whole(CPU)))


def test_only_items_of_the_training_part_count(domain, memory_domain):
    network, _ = make(domain)
    features = {name: [*rows[1:18].tolist(), *[[9.0] * rows.shape[1]] * 7] for name, rows in domain._rows.items()}
    again, _ = make(memory_domain("other", features=features))
    for name, buffer in network.fitted.named_buffers():
        assert torch.equal(buffer, dict(again.fitted.named_buffers())[name]), name


def test_what_was_brought_stays(domain):
    network, _ = make(domain)
    part = network.fitted["codes_text"]
    before = {name: buffer.clone() for name, buffer in part.named_buffers()}
    assert part.fit(context_of(domain, [[1, 2, 3, 4, 20]])) == {}
    for name, buffer in part.named_buffers():
        assert torch.equal(buffer, before[name])


def test_nothing_fitted():
    part = ProductCodes("text", 6, 2, 4)
    assert part.is_empty
    with pytest.raises(RuntimeError, match="fit"):
        part(torch.zeros(1, 6))


def test_a_missing_modality_takes_no_part(domain):
    network, catalogue = make(domain)
    items = encoded(network, catalogue)
    codes, vectors = items.extra["codes"], items.vectors
    tables = [network.table(name).weight for name in ("text", "image")]
    both = [table[codes[:, m]] for m, table in enumerate(tables)]
    torch.testing.assert_close(vectors[1:-3], torch.cat(both, 1).mean(1)[1:-3])
    torch.testing.assert_close(vectors[-3:-1], both[0].mean(1)[-3:-1])
    assert not vectors[-1].any()
    assert not vectors[0].any()
    assert (codes[0] == 0).all()


def test_codes_of_the_whole_catalogue_are_kept_until_something_changes(domain):
    network, catalogue = make(domain)
    part, table = network.fitted["codes_text"], catalogue.whole(CPU)
    features = table.features["text"]
    first = part(features, is_whole=True)
    assert part(features, is_whole=True) is first
    assert part(features.clone(), is_whole=True) is not first
    second = part(features, is_whole=True)
    features[0] += 100
    assert not torch.equal(part(features, is_whole=True), second)
    third = part(features, is_whole=True)
    part.load_state_dict({name: buffer.flip(0) for name, buffer in part.state_dict().items()})
    assert part(features, is_whole=True) is not third


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_made_up_items(domain, share):
    network, catalogue = make(domain)
    items = encoded(network, catalogue)
    torch.manual_seed(0)
    drawn = torch.stack([network.synthetic(items, share).extra["codes"] for _ in range(60)])
    codes = items.extra["codes"]
    assert ((drawn == 0) == (codes == 0)).all()  # nothing is made of what is missing
    size = network.table("text").size
    is_some = codes != 0
    assert torch.equal(drawn[:, is_some] // size, (codes // size)[is_some].expand(60, -1))  # of the same place
    if share == 0:
        assert torch.equal(drawn[0], codes)
    else:
        assert set((drawn[:, is_some] % size).flatten().tolist()) == {1, 2, 3, 4}


def test_an_assignment_starts_as_it_is_and_finds_the_right_permutation():
    torch.manual_seed(0)
    size, width = 6, 4
    table = torch.randn(2 * (size + 1), width)
    assignment = Assignment(2, size)
    assert torch.equal(assignment(table), table)
    wanted = table.view(2, size + 1, width)[:, [0, 2, 1, 3, 6, 4, 5]]
    optimiser = torch.optim.Adam(assignment.parameters(), lr=0.05)
    for _ in range(300):
        optimiser.zero_grad()
        (assignment(table).view_as(wanted) - wanted).square().sum().backward()
        optimiser.step()
    torch.testing.assert_close(assignment(table).view_as(wanted), wanted)
    assert (assignment.matrix().sum(1) - 1).abs().max() < 1e-5


def test_the_published_assignment_never_moves():
    torch.manual_seed(0)
    table, published = torch.randn(2 * 5, 4), PublishedAssignment(2, 4)
    (published(table) * torch.randn(10, 4)).sum().backward()
    assert not published.logits.grad.any()
    assert not torch.equal(published(table), published(table))  # noise in evaluation, too


def test_sinkhorn():
    matrix = sinkhorn(torch.randn(3, 5, 5), 50)
    torch.testing.assert_close(matrix.sum(1), torch.ones(3, 5))
    torch.testing.assert_close(matrix.sum(2), torch.ones(3, 5))


@pytest.mark.parametrize("cap", [1, 12])
def test_values_of_a_code_are_a_power_of_two(cap):
    with pytest.raises(ConfigError, match=f"^model.code_cap={cap}: must be a power of 2"):
        VQRec(DataShape(5, {"text": 4}), code_cap=cap)
