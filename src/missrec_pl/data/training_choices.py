"""Which training batches a run wants: said by the user, or by its network and loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from missrec_pl.data.candidates import CANDIDATES, CandidateKind
from missrec_pl.data.examples import EXAMPLES, Example
from missrec_pl.data.examples.base import TrainingExamples
from missrec_pl.data.examples.cloze import ClozeStretches, check_probabilities
from missrec_pl.data.examples.prefix import TrainingPrefixes
from missrec_pl.data.examples.shifted import ShiftedStretches
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.negatives import Negatives, PerRowNegatives, SharedNegatives
from missrec_pl.data.training_batches import TrainingBatches
from missrec_pl.errors import ConfigError

_NUM_NEGATIVES = 8192  # where nobody says a number


@dataclass
class TrainingChoices:
    """Examples and candidates of training batches.

    What is None is open: :meth:`fill` may say it. Else training is by prefixes against all items.

    Attributes:
        candidates: ``"all"`` trains against the whole catalogue, ``"in_batch"`` against the batch's targets,
            ``"sampled"`` against these and random items, corrected so as to stand for the whole catalogue,
            ``"per_row"`` against random items of each target's own.
        num_negatives: random items of a global batch (``sampled``, see :class:`CandidateDraw`) or of a target
            (``per_row``).
        example: ``"prefix"``: a row is a prefix with one target; ``"shifted"``: a stretch with a target at every
            place; ``"cloze"``: a stretch with items hidden, its targets. None, once batches are made, is prefix.
        mask_probability: see :class:`ClozeStretches`.
        last_share: see :class:`ClozeStretches`.
        exclude_target: see :class:`PerRowNegatives`.
        with_times: whether batches, those of evaluation too, have times.

    Raises:
        ConfigError: an unknown choice, a probability outside 0..1, or less than one negative.
    """

    candidates: CandidateKind | None = "all"
    num_negatives: int | None = 8192
    example: Example | None = None
    mask_probability: float = 0.2
    last_share: float = 0.1
    exclude_target: bool = True
    with_times: bool = False

    def __post_init__(self) -> None:
        for flag, value, known in (
            ("candidates", self.candidates, CANDIDATES),
            ("example", self.example, EXAMPLES),
        ):
            if value is not None and value not in known:
                raise ConfigError(f"data.{flag}={value!r}: choose one of {', '.join(known)}.")
        if self.num_negatives is not None and self.num_negatives < 1:
            raise ConfigError(f"data.num_negatives={self.num_negatives}: must be a whole number from 1.")
        check_probabilities(self.mask_probability, self.last_share)

    def fill(self, other: TrainingChoices) -> TrainingChoices:
        """These choices, with the other's candidates, negatives and example where they are open.

        Times are brought if either wants them.
        """
        return TrainingChoices(
            self.candidates or other.candidates,
            self.num_negatives or other.num_negatives,
            self.example or other.example,
            self.mask_probability,
            self.last_share,
            self.exclude_target,
            self.with_times or other.with_times,
        )

    def batches(
        self,
        sequences: GlobalSequences,
        catalogue: Catalogue,
        max_history: int,
        fold_of_user: NDArray[np.int64] | None,
    ) -> TrainingBatches:
        """The data set of training batches.

        Args:
            sequences: the sequences of all domains.
            catalogue: the items.
            max_history: longest history.
            fold_of_user: ``[U]`` the fold of each user; None for no folds.

        Raises:
            DataError: there is no training row, or nothing to draw.
        """
        deduplicate = self._candidates() != "all"
        if self.example == "cloze":
            examples: TrainingExamples = ClozeStretches(
                sequences,
                catalogue,
                max_history,
                deduplicate,
                fold_of_user,
                mask_probability=self.mask_probability,
                last_share=self.last_share,
            )
        else:
            kind = ShiftedStretches if self.example == "shifted" else TrainingPrefixes
            examples = kind(sequences, catalogue, max_history, deduplicate, fold_of_user)
        return TrainingBatches(examples, self._negatives(examples))

    def _negatives(self, examples: TrainingExamples) -> Negatives | None:
        kind = self._candidates()
        if kind not in ("sampled", "per_row"):
            return None
        count = self.num_negatives or _NUM_NEGATIVES
        if kind == "sampled":
            return SharedNegatives(examples.target_counts(), count)
        return PerRowNegatives(examples.catalogue.offsets, count, exclude_target=self.exclude_target)

    def _candidates(self) -> CandidateKind:
        return self.candidates or "all"
