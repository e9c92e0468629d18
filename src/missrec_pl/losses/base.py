"""What a loss is, and the one that trains where nothing else is said."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

from torch import Tensor, nn

from missrec_pl.data.candidates import CandidateKind
from missrec_pl.losses.step import Step
from missrec_pl.nn.fitted import Fitted

Augmentation = Callable[[Any], tuple[Any, Any]]


class Loss(nn.Module, ABC):
    """What training minimises, chosen by the config group ``objective``.

    Attributes:
        candidates: what rows choose among unless ``data.candidates`` says otherwise: ``all`` items, the targets of
            the batch (``in_batch``), these and random items (``sampled``), or random items of each row
            (``per_row``).
        num_negatives: random items that are drawn unless ``data.num_negatives`` says otherwise: of a batch for
            ``sampled``, of each target for ``per_row``.
        mask_duplicates: whether a candidate that is the row's target again is taken out.
        duplicate_logit: the logit that it has then. Minus infinity takes it out of a softmax; published codes set
            it to 0, and it still adds ``exp(0) = 1`` to the denominator.
        padding_candidate: whether the padding item is among ``all``.
        same_catalogue: whether it pre-trains for the very items it sees, so that a network may read their IDs.
        views: makes the two views of a batch that the loss compares; None for none. Pre-training only.

    Args:
        temperature: what scores are divided by in training.
        eval_temperature: the same for rankings; None: as in training. It matters where auxiliary scorers stand
            beside the network's score.
    """

    candidates: CandidateKind = "all"
    num_negatives: int = 8192
    mask_duplicates: bool = True
    duplicate_logit: float = float("-inf")
    padding_candidate: bool = False
    same_catalogue: ClassVar[bool] = False
    views: Augmentation | None = None

    def __init__(self, temperature: float = 1.0, eval_temperature: float | None = None) -> None:
        super().__init__()
        self.temperature = temperature
        self.eval_temperature = temperature if eval_temperature is None else eval_temperature

    def fitted_parts(self) -> list[Fitted]:
        """What the loss knows of the training data, such as how often items are met."""
        return [part for part in self.modules() if isinstance(part, Fitted)]

    @abstractmethod
    def forward(self, step: Step) -> dict[str, Tensor]:
        """``loss [R]``, which is minimised, and further values ``[R]`` or ``[B]`` that are only logged."""


class Softmax(Loss):
    """``-log softmax(logits)`` of the target; over all items unless ``data.candidates`` says otherwise.

    Args:
        temperature: see :class:`Loss`.
        eval_temperature: see :class:`Loss`.
        padding_candidate: whether the padding item is a class, as in RecBole and RecTools: a fault.
    """

    def __init__(
        self, temperature: float = 1.0, eval_temperature: float | None = None, *, padding_candidate: bool = False
    ) -> None:
        super().__init__(temperature, eval_temperature)
        self.padding_candidate = padding_candidate

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        return {"loss": step.cross_entropy(step.candidates)}
