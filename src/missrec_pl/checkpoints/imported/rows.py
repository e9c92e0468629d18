"""The released program's ``state_dict`` and ours: the map of names.

=================================================  ==================================================
theirs                                             ours
=================================================  ==================================================
``position_embedding``, ``LayerNorm``              ``position_embedding``, ``input_norm``
``text_adaptor``, ``img_adaptor``                  ``item_adapters.linear.text``, ``item_adapters.linear.image``
``fusion_factor``                                  ``fusion.concentration``
``item_embedding``                                 ``id_embedding``
``interest_embeddings``                            ``fitted.interests.prototypes``
``plm_``, ``img_interest_lookup_table``            the columns of ``fitted.interests.assignment``
``trm_model.{en,de}coder.layers.<i>``              ``{en,de}coder.blocks.<i>``
``self_attn``, ``multihead_attn``                  ``self_attention``, ``cross_attention``
``in_proj`` (query, key and value, stacked)        ``query`` and ``key_value``
``out_proj``, ``linear1``, ``linear2``             ``output``, ``feed_forward.expand``, ``.contract``
``norm1``, ``norm2``, ``norm3``                    the norm after each part of a block, in its order
``plm_``, ``img_embedding``, ``*_empty_mask``      left: the features belong to the data
=================================================  ==================================================
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

MODALITIES = {"text": "text_adaptor", "image": "img_adaptor"}  # ours -> theirs, in the order of the token axis


class NameRow(NamedTuple):
    """A tensor of theirs, and the tensors of ours that it is cut into along its first axis.

    Attributes:
        theirs: its name.
        ours: our names; two for a stacked projection, the second twice as long as the first.
        shape: its axes: ``D`` hidden, ``I`` inner, ``L`` positions, ``N`` items and padding, ``F`` features.
        optional: whether a network may lack it.
    """

    theirs: str
    ours: tuple[str, ...]
    shape: tuple[str, ...]
    optional: bool = False


def name_rows(num_encoder_layers: int, num_decoder_layers: int) -> list[NameRow]:
    """The map for a network of so many layers, the interest tables excepted."""
    rows = [NameRow("position_embedding.weight", ("position_embedding.weight",), ("L", "D"))]
    rows += _affine("LayerNorm", "input_norm", "D")
    for name, theirs in MODALITIES.items():
        rows += _affine(theirs, f"item_adapters.linear.{name}", "D", f"F {name}", optional=True)
    rows.append(NameRow("fusion_factor", ("fusion.concentration",), (), optional=True))
    rows.append(NameRow("item_embedding.weight", ("id_embedding.weight",), ("N", "D"), optional=True))
    depths = {"encoder": num_encoder_layers, "decoder": num_decoder_layers}
    for stack, depth in depths.items():
        for i in range(depth):
            theirs, ours = f"trm_model.{stack}.layers.{i}", f"{stack}.blocks.{i}"
            rows += _attention(f"{theirs}.self_attn", f"{ours}.self_attention")
            if stack == "decoder":
                rows += _attention(f"{theirs}.multihead_attn", f"{ours}.cross_attention")
            rows += _affine(f"{theirs}.linear1", f"{ours}.feed_forward.expand", "I", "D")
            rows += _affine(f"{theirs}.linear2", f"{ours}.feed_forward.contract", "D", "I")
            encoder_norms = ("attention_norm", "feed_forward_norm")
            decoder_norms = ("self_attention_norm", "cross_attention_norm", "feed_forward_norm")
            for number, norm in enumerate(encoder_norms if stack == "encoder" else decoder_norms, start=1):
                rows += _affine(f"{theirs}.norm{number}", f"{ours}.{norm}", "D")
        rows += _affine(f"trm_model.{stack}.norm", f"{stack}.norm", "D")
    return rows


def _affine(theirs: str, ours: str, out: str, *rest: str, optional: bool = False) -> Iterator[NameRow]:
    yield NameRow(f"{theirs}.weight", (f"{ours}.weight",), (out, *rest), optional)
    yield NameRow(f"{theirs}.bias", (f"{ours}.bias",), (out,), optional)


def _attention(theirs: str, ours: str) -> Iterator[NameRow]:
    for kind, rest in (("weight", ("D",)), ("bias", ())):
        yield NameRow(
            f"{theirs}.in_proj_{kind}", (f"{ours}.query.{kind}", f"{ours}.key_value.{kind}"), ("3D", *rest)
        )
    yield from _affine(f"{theirs}.out_proj", f"{ours}.output", "D", "D")
