"""Tensors of the released program under our names, by this map:

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

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from missrec_pl.errors import CheckpointError

MODALITIES = {"text": "text_adaptor", "image": "img_adaptor"}  # ours -> theirs, in the order of the token axis
_LOOKUP = {"text": "plm_interest_lookup_table", "image": "img_interest_lookup_table"}
_FEATURES = {"text": "plm_embedding", "image": "img_embedding"}
_PROTOTYPES, _ASSIGNMENT, _REFRESHES = (
    f"fitted.interests.{n}" for n in ("prototypes", "assignment", "num_refreshes")
)


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


@dataclass(frozen=True)
class Translation:
    """What became of a released ``state_dict``.

    Attributes:
        weights: tensors under our names.
        loaded: our names by theirs.
        left: why a tensor of theirs is not taken, by its name.
        sizes: the sizes that the shapes say, by axis letter.
    """

    weights: dict[str, Tensor]
    loaded: dict[str, tuple[str, ...]]
    left: dict[str, str]
    sizes: dict[str, int]


def translate_released(state: Mapping[str, Tensor]) -> Translation:
    """Bring a released ``state_dict`` under our names.

    Args:
        state: the ``state_dict`` of a released network of any of its stages.

    Raises:
        CheckpointError: a tensor is missing, is not part of the map, or has a shape that does not fit the others.
    """
    sizes: dict[str, int] = {}
    weights: dict[str, Tensor] = {}
    loaded: dict[str, tuple[str, ...]] = {}
    for row in name_rows(_depth(state, "encoder"), _depth(state, "decoder")):
        if row.theirs not in state:
            if row.optional:
                continue
            raise CheckpointError(
                f"the released state_dict lacks {row.theirs}: it is not a whole MISSRec network."
            )
        tensor = _checked(row.theirs, state, row.shape, sizes)
        cuts = tensor.tensor_split([len(tensor) // 3]) if len(row.ours) == 2 else (tensor,)
        weights |= {name: part.clone() for name, part in zip(row.ours, cuts, strict=True)}
        loaded[row.theirs] = row.ours
    modalities = [name for name, theirs in MODALITIES.items() if f"{theirs}.weight" in loaded]
    if not modalities:
        raise CheckpointError(
            f"the released state_dict has none of the adapters {', '.join(MODALITIES.values())}."
        )
    _take_interests(state, modalities, sizes, weights, loaded)
    left = {}
    for name in modalities:
        for theirs in (f"{_FEATURES[name]}.weight", f"{_FEATURES[name]}_empty_mask"):
            if theirs in state:
                _checked(theirs, state, ("N", f"F {name}") if theirs.endswith(".weight") else ("N",), sizes)
                left[theirs] = "features belong to the data"
    if unknown := [name for name in state if name not in loaded and name not in left]:
        raise CheckpointError(
            f"the released state_dict has {len(unknown)} tensors that no MISSRec network has, e.g. {unknown[0]}."
        )
    return Translation(weights, loaded, left, sizes)


def model_kwargs_of_released(state: Mapping[str, Tensor]) -> dict[str, Any]:
    """What a released ``state_dict`` says about the arguments of :class:`MISSRecReleased`.

    It does not say ``num_heads`` and ``sequence_fusion`` (their config: ``n_heads``, ``seq_mm_fusion``), and a
    pre-trained one nothing about items and prototypes (``num_items``, ``num_prototypes``).

    Raises:
        CheckpointError: see :func:`translate_released`.
    """
    found = translate_released(state)
    sizes = found.sizes
    kwargs: dict[str, Any] = {
        "feature_dims": {name: sizes[f"F {name}"] for name in MODALITIES if f"F {name}" in sizes},
        "transductive": "id_embedding.weight" in found.weights,
        "hidden_size": sizes["D"],
        "inner_size": sizes["I"],
        "num_encoder_layers": _depth(state, "encoder"),
        "num_decoder_layers": _depth(state, "decoder"),
        "max_history": sizes["L"],
        "fusion_concentration": 0.0 if "fusion.concentration" in found.weights else None,
    }
    if "N" in sizes:
        kwargs["num_items"] = sizes["N"] - 1
    if "K" in sizes:
        kwargs["num_prototypes"] = sizes["K"] - 1
    return kwargs


def _depth(state: Mapping[str, Tensor], stack: str) -> int:
    """Number of blocks, 1 at least: what is then missing is named."""
    found = [re.match(rf"trm_model\.{stack}\.layers\.(\d+)\.", name) for name in state]
    return max(len({match[1] for match in found if match}), 1)


def _checked(name: str, state: Mapping[str, Tensor], axes: tuple[str, ...], sizes: dict[str, int]) -> Tensor:
    """The tensor, whose axes must have the sizes known so far; new sizes become known."""
    tensor = state[name]
    fits = len(axes) == tensor.dim()
    for axis, size in zip(axes, tensor.shape, strict=False):
        fits &= size == (3 * sizes["D"] if axis == "3D" else sizes.setdefault(axis, size))
    if not fits:
        wanted = ", ".join(str(3 * sizes["D"] if axis == "3D" else sizes.get(axis, axis)) for axis in axes)
        raise CheckpointError(
            f"{name} of the released state_dict is {tuple(tensor.shape)}, but must be ({wanted})."
        )
    return tensor


def _take_interests(
    state: Mapping[str, Tensor],
    modalities: list[str],
    sizes: dict[str, int],
    weights: dict[str, Tensor],
    loaded: dict[str, tuple[str, ...]],
) -> None:
    """The interest tables, which only a fine-tuned network carries."""
    needed = ["interest_embeddings", *(_LOOKUP[name] for name in modalities)]
    present = [name for name in needed if name in state]
    if not present:
        return
    if present != needed:
        absent = next(name for name in needed if name not in state)
        raise CheckpointError(f"the released state_dict has {present[0]} without {absent}.")
    weights[_PROTOTYPES] = _checked("interest_embeddings", state, ("K", "D"), sizes).clone()
    assignment = torch.stack([_checked(name, state, ("N",), sizes) for name in needed[1:]], dim=1).long()
    if assignment.min() < 0 or assignment.max() >= sizes["K"]:
        raise CheckpointError(
            f"{needed[1]} of the released state_dict names interests beyond 0..{sizes['K'] - 1}."
        )
    weights[_ASSIGNMENT] = assignment
    weights[_REFRESHES] = torch.ones((), dtype=torch.long)
    loaded |= {"interest_embeddings": (_PROTOTYPES,), **dict.fromkeys(needed[1:], (_ASSIGNMENT,))}
