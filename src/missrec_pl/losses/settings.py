"""The weights of a phase's objective, as one object that the config builds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Objective:
    """What training minimises (eq. 7 for pre-training, eq. 8 for fine-tuning).

    Attributes:
        temperature: ``tau`` of every softmax over cosines.
        eval_temperature: ``tau`` of rankings; None: the same. Matters where score terms stand beside the network's
            cosines: those are fitted to the training rows, and a larger ``tau`` trusts them less on new ones.
        orthogonality_weight: ``gamma``.
        orthogonality_form: see :func:`orthogonality`.
        orthogonality_of_both_views: whether the second view is regularised, too; pre-training only.
        seq_seq_weight: ``lambda``; pre-training only, 0 encodes one view.
        seq_seq_form: see :func:`seq_seq`.
        mask_duplicates: see :func:`seq_item`.
        padding_candidate: whether the padding item is a candidate of fine-tuning (in the released code it is).
        augmentation: makes the two views of a batch; pre-training only.
    """

    temperature: float = 0.07
    eval_temperature: float | None = None
    orthogonality_weight: float = 1e-4
    orthogonality_form: str = "cosine"
    orthogonality_of_both_views: bool = False
    seq_seq_weight: float = 1e-3
    seq_seq_form: str = "paper"
    mask_duplicates: bool = True
    padding_candidate: bool = False
    augmentation: Callable[[Any], tuple[Any, Any]] | None = None
