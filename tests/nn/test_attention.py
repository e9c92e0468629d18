import pytest
import torch

from missrec_pl.nn.blocks.attention import MultiHeadAttention, Projected
from missrec_pl.nn.blocks.transformer import BlockSizes, Decoder, Encoder, EncoderBlock

BATCH, QUERIES, KEYS, HIDDEN, HEADS = 3, 4, 6, 12, 3
SIZES = BlockSizes(HIDDEN, HEADS, inner_size=7, dropout=0.3)


def noise(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


@pytest.fixture
def attention():
    torch.manual_seed(0)
    return MultiHeadAttention(HIDDEN, HEADS, dropout=0.3).eval()


@pytest.fixture
def is_padding():
    mask = torch.zeros(BATCH, KEYS, dtype=torch.bool)
    mask[0, 3:], mask[1, 0] = True, True
    return mask


def copy_attention(ours: MultiHeadAttention, theirs: torch.nn.MultiheadAttention) -> None:
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, ours.key_value.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, ours.key_value.bias]))
        theirs.out_proj.load_state_dict(ours.output.state_dict())


def test_equals_torchs_multihead_attention(attention, is_padding):
    reference = torch.nn.MultiheadAttention(HIDDEN, HEADS, batch_first=True).eval()
    copy_attention(attention, reference)
    queries, keys = noise(BATCH, QUERIES, HIDDEN), noise(BATCH, KEYS, HIDDEN)
    expected, _ = reference(queries, keys, keys, key_padding_mask=is_padding)
    torch.testing.assert_close(attention(queries, keys, is_padding), expected)


def test_encoder_block_equals_torchs_post_norm_layer(is_padding):
    torch.manual_seed(0)
    block = EncoderBlock(SIZES).eval()
    reference = torch.nn.TransformerEncoderLayer(
        HIDDEN, HEADS, 7, activation="gelu", layer_norm_eps=1e-5, batch_first=True
    )
    copy_attention(block.self_attention, reference.self_attn)
    reference.linear1.load_state_dict(block.feed_forward.expand.state_dict())
    reference.linear2.load_state_dict(block.feed_forward.contract.state_dict())
    x = noise(BATCH, KEYS, HIDDEN)
    # In training mode without dropout torch leaves its fused path, which zeroes padding.
    reference.train().requires_grad_(True)
    for module in reference.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    reference.self_attn.dropout = 0.0
    torch.testing.assert_close(block(x, is_padding), reference(x, src_key_padding_mask=is_padding))


def test_padded_keys_have_no_influence(attention, is_padding):
    queries, keys = noise(BATCH, QUERIES, HIDDEN), noise(BATCH, KEYS, HIDDEN)
    spoilt = torch.where(is_padding[..., None], torch.full_like(keys, 1e4), keys)
    torch.testing.assert_close(attention(queries, keys, is_padding), attention(queries, spoilt, is_padding))
    assert not torch.allclose(attention(queries, keys, is_padding), attention(queries, keys, ~is_padding))


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_rows_of_padding_give_finite_outputs_and_gradients(training):
    torch.manual_seed(0)
    encoder, decoder = Encoder(2, SIZES), Decoder(2, SIZES)
    encoder.train(training), decoder.train(training)
    nothing_to_read, nothing_to_ask = torch.zeros(BATCH, KEYS).bool(), torch.zeros(BATCH, QUERIES).bool()
    nothing_to_read[0], nothing_to_ask[1] = True, True
    x, queries = noise(BATCH, KEYS, HIDDEN).requires_grad_(), noise(BATCH, QUERIES, HIDDEN).requires_grad_()
    decoded = decoder(queries, nothing_to_ask, encoder(x, nothing_to_read), nothing_to_read)
    assert decoded.isfinite().all()
    decoded.square().sum().backward()
    for tensor in (x, queries, *encoder.parameters(), *decoder.parameters()):
        assert tensor.grad.isfinite().all()


def test_a_query_without_keys_gets_the_output_bias(attention):
    everything = torch.ones(1, KEYS, dtype=torch.bool)
    out = attention(noise(1, QUERIES, HIDDEN), noise(1, KEYS, HIDDEN), everything)
    torch.testing.assert_close(out, attention.output.bias.expand_as(out))


def test_dropout_acts_in_training_only(attention):
    queries, keys, mask = noise(1, QUERIES, HIDDEN), noise(1, KEYS, HIDDEN), torch.zeros(1, KEYS).bool()
    assert torch.equal(attention(queries, keys, mask), attention(queries, keys, mask))
    attention.train()
    assert not torch.equal(attention(queries, keys, mask), attention(queries, keys, mask))


@pytest.mark.parametrize("num_layers", [1, 2])
def test_decoder_computes_only_what_is_wanted(num_layers, is_padding):
    torch.manual_seed(0)
    decoder = Decoder(num_layers, SIZES).eval()
    x, memory = noise(BATCH, KEYS, HIDDEN), noise(BATCH, 5, HIDDEN)
    is_memory_padding = torch.zeros(BATCH, 5, dtype=torch.bool)
    wanted = torch.tensor([[2, 0], [5, 5], [1, 4]])
    everything = decoder(x, is_padding, memory, is_memory_padding)
    found = decoder(x, is_padding, memory, is_memory_padding, wanted)
    torch.testing.assert_close(found, everything.take_along_dim(wanted[:, :, None], 1))


def test_projecting_a_table_equals_projecting_its_occurrences(is_padding):
    torch.manual_seed(0)
    encoder = Encoder(2, SIZES).eval()
    table, rows = noise(9, HIDDEN), torch.randint(9, (BATCH, KEYS))
    projected = Projected.of(encoder.first_attention, table).take(rows)
    torch.testing.assert_close(encoder(table[rows], is_padding, projected), encoder(table[rows], is_padding))


@pytest.mark.parametrize("few", [1, 2])
@pytest.mark.parametrize("training", [False, True])
def test_few_queries_see_the_same_without_projected_keys(attention, is_padding, few, training):
    attention = attention.double().train(training)
    is_padding[2] = True  # nothing to see at all
    queries, keys = noise(BATCH, few, HIDDEN).double(), noise(BATCH, KEYS, HIDDEN).double()
    found = []
    for project in (lambda q, k: attention.attend(attention.query(q), attention.key_value(k), is_padding), None):
        inputs = [x.clone().requires_grad_() for x in (queries, keys)]
        attention.zero_grad()
        torch.manual_seed(1)  # the same weights are dropped
        out = project(*inputs) if project else attention._attend_unprojected(*inputs, is_padding)
        (out * torch.arange(HIDDEN)).sum().backward()
        found.append([out, *(x.grad for x in inputs), *(p.grad for p in attention.parameters())])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-9, atol=1e-10)


def test_the_way_with_fewer_multiplications_is_taken(attention):
    ways = []
    attention._attend_unprojected = lambda queries, *_: ways.append("unprojected") or queries
    attention.attend = lambda queries, *_: ways.append("projected") or queries
    for queries, keys in ((1, 1), (1, 2), (4, 4), (2, 40), (40, 40)):
        attention(noise(1, queries, HIDDEN), noise(1, keys, HIDDEN), torch.zeros(1, keys, dtype=torch.bool))
    assert ways == ["projected", "unprojected", "projected", "unprojected", "projected"]
