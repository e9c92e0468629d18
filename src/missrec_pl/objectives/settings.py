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
        orthogonality_weight: ``gamma``.
        orthogonality_form: see :func:`orthogonality`.
        seq_seq_weight: ``lambda``; pre-training only, 0 encodes one view.
        seq_seq_form: see :func:`seq_seq`.
        augmentation: makes the two views of a batch; pre-training only.
    """

    temperature: float = 0.07
    orthogonality_weight: float = 1e-4
    orthogonality_form: str = "cosine"
    seq_seq_weight: float = 1e-3
    seq_seq_form: str = "paper"
    augmentation: Callable[[Any], tuple[Any, Any]] | None = None
