"""What a loss is, and what it sees of a training step."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from missrec_pl.data.candidates import CandidateKind
from missrec_pl.nn.contract import DataShape, Histories, Items, Recommender
from missrec_pl.nn.encoding import GroupedUsers

Augmentation = Callable[[Any], tuple[Any, Any]]


class Step(ABC):
    """A training step as a loss sees it. ``R`` targets of this process, ``B`` histories.

    Attributes:
        network: the network that trains.
        data: sizes of the data.
        histories: ``[B]`` what the targets come after.
        items: the encoded items that histories refer to, never augmented.
        users: the encoded histories; of the first view where the loss asks for views.
        views: the users of each further view; None in a phase that makes none.
    """

    network: Recommender
    data: DataShape
    histories: Histories
    items: Items
    users: GroupedUsers
    views: Sequence[GroupedUsers] | None

    @property
    @abstractmethod
    def target(self) -> Tensor:
        """``[R]`` global ids of the targets."""

    @property
    @abstractmethod
    def valid(self) -> Tensor:
        """``[R]``, False for filler, which has no loss."""

    @property
    @abstractmethod
    def num_rows(self) -> int:
        """Valid rows of all processes."""

    @property
    @abstractmethod
    def num_histories(self) -> int:
        """Histories of all processes."""

    @property
    @abstractmethod
    def own(self) -> Tensor:
        """``[R]`` places of this process's rows among those that :meth:`gather` gives."""

    @property
    @abstractmethod
    def own_histories(self) -> Tensor:
        """``[B]`` the same of its histories and :meth:`gather_histories`."""

    @property
    @abstractmethod
    def candidates(self) -> Items:
        """What the rows choose among, as ``data.candidates`` or the loss says."""

    @abstractmethod
    def gather(self, rows: Tensor) -> Tensor:
        """The rows ``[R, ...]`` of all processes, with gradient."""

    @abstractmethod
    def gather_histories(self, rows: Tensor) -> Tensor:
        """The rows ``[B, ...]`` of all processes, with gradient."""

    @abstractmethod
    def of_rows(self, of_histories: Tensor) -> Tensor:
        """``[R]`` values whose mean over rows is the mean of ``[B]`` values over histories."""

    @abstractmethod
    def logits(self, candidates: Items) -> tuple[Tensor, Tensor]:
        """``[R, C]`` score over temperature plus auxiliary scorers, and the target's column ``[R]``.

        Other copies of the target, padding and filler are at minus infinity.
        """

    @abstractmethod
    def log_prob(self, candidates: Items) -> Tensor:
        """``[R]`` log-probability of the target among the candidates.

        Computed in chunks where there are many, corrected for the sampling where the candidates are a sample.
        """


class Loss(nn.Module):
    """What training minimises, chosen by the config group ``objective``.

    Attributes:
        candidates: what rows choose among unless ``data.candidates`` says otherwise: ``all`` items, the targets of
            the batch (``in_batch``), these and random items (``sampled``), or random items of each row
            (``per_row``).
        num_negatives: random items that are drawn unless ``data.num_negatives`` says otherwise: of a batch for
            ``sampled``, of each target for ``per_row``.
        mask_duplicates: whether a candidate that is the row's target again is taken out.
        padding_candidate: whether the padding item is among ``all``.
        views: makes the two views of a batch that the loss compares; None for none. Pre-training only.
        temperature: what scores are divided by in training.
        eval_temperature: the same for rankings. It matters where auxiliary scorers stand beside the network's
            score.

    Args:
        temperature: see above.
        eval_temperature: see above; None takes the temperature of training.
    """

    candidates: CandidateKind = "all"
    num_negatives: int = 8192
    mask_duplicates: bool = True
    padding_candidate: bool = False
    views: Augmentation | None = None

    def __init__(self, temperature: float = 1.0, eval_temperature: float | None = None) -> None:
        super().__init__()
        self.temperature = temperature
        self.eval_temperature = temperature if eval_temperature is None else eval_temperature

    @abstractmethod
    def forward(self, step: Step) -> dict[str, Tensor]:
        """``loss [R]``, which is minimised, and further values ``[R]`` or ``[B]`` that are only logged."""
