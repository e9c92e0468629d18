"""Which training batches a run wants: said by the user, or by its network and loss."""

from dataclasses import dataclass

from missrec_pl.data.candidates import CANDIDATES, CandidateKind, Negatives, PerRowNegatives, SharedNegatives
from missrec_pl.data.datasets import TrainingBatches
from missrec_pl.data.examples import EXAMPLES, Example, kinds
from missrec_pl.data.examples.base import TrainingExamples
from missrec_pl.data.global_sequences import GlobalSequences
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.data.sequences import Ints
from missrec_pl.errors import ConfigError

_NUM_NEGATIVES = 8192  # where nobody says a number


@dataclass(kw_only=True, eq=False, repr=False)
class TrainingChoices:
    """Examples and candidates of training batches.

    What is None is open: :meth:`fill` may say it. Else training is by prefixes against all items.

    Attributes:
        candidates: ``"all"`` trains against the whole catalogue, ``"in_batch"`` against the batch's targets,
            ``"sampled"`` against these and random items, corrected so as to stand for the whole catalogue,
            ``"per_row"`` against random items of each target's own.
        num_negatives: random items of a global batch (``sampled``, see :class:`SharedNegatives`) or of a target
            (``per_row``).
        example: ``"prefix"``: a row is a prefix with one target; ``"shifted"``: a stretch with a target at every
            place; ``"cloze"``: a stretch with items hidden, its targets. None, once batches are made, is prefix.
        mask_probability, last_share: see :class:`ClozeStretches`.
        exclude_target: see :class:`PerRowNegatives`.
        with_times: whether batches, those of evaluation too, have times.

    Raises:
        ConfigError: an unknown choice, a probability outside 0..1, or less than one negative.
    """

    candidates: CandidateKind | None = None
    num_negatives: int | None = 8192
    example: Example | None = None
    mask_probability: float = 0.2
    last_share: float = 0.1
    exclude_target: bool = True
    with_times: bool = False

    def __post_init__(self) -> None:
        choices = (("candidates", self.candidates, CANDIDATES), ("example", self.example, EXAMPLES))
        for flag, value, known in choices:
            if value is not None and value not in known:
                raise ConfigError(f"data.{flag}={value!r}: choose one of {', '.join(known)}.")
        if self.num_negatives is not None and self.num_negatives < 1:
            raise ConfigError(f"data.num_negatives={self.num_negatives}: must be a whole number from 1.")
        kinds.check_probabilities(self.mask_probability, self.last_share)

    def fill(self, other: "TrainingChoices") -> None:
        """Take the other's candidates, negatives and example where they are open."""
        self.candidates = self.candidates or other.candidates
        self.num_negatives = self.num_negatives or other.num_negatives
        self.example = self.example or other.example

    def batches(
        self, sequences: GlobalSequences, catalogue: Catalogue, max_history: int, fold_of_user: Ints | None
    ) -> TrainingBatches:
        """The data set of training batches, of the sequences and items of all domains.

        ``max_history`` is the longest history, ``fold_of_user`` ``[U]`` the fold of each user, None for no folds.

        Raises:
            DataError: there is no training row, or nothing to draw.
        """
        kind = self.candidates or "all"
        rows = (sequences, catalogue, max_history, kind != "all", fold_of_user)
        if self.example == "cloze":
            examples: TrainingExamples = kinds.ClozeStretches(
                *rows, mask_probability=self.mask_probability, last_share=self.last_share
            )
        else:
            examples = (kinds.ShiftedStretches if self.example == "shifted" else kinds.TrainingPrefixes)(*rows)
        negatives: Negatives | None = None
        count = self.num_negatives or _NUM_NEGATIVES
        if kind == "sampled":
            negatives = SharedNegatives(examples.target_counts(), count)
        elif kind == "per_row":
            negatives = PerRowNegatives(catalogue.offsets, count, exclude_target=self.exclude_target)
        return TrainingBatches(examples, negatives)
