"""Next item, contrast of two views, interests kept apart (Wang et al., ACM MM 2023), for any network."""

from __future__ import annotations

from typing import get_args

from torch import Tensor

from missrec_pl.losses.base import Augmentation, Loss
from missrec_pl.losses.contrast import OrthogonalityForm, SeqSeqForm, orthogonality, seq_seq
from missrec_pl.losses.step import Step
from missrec_pl.nn.contract import Users
from missrec_pl.nn.encoding import GroupedUsers
from missrec_pl.system.choices import chosen
from missrec_pl.system.precision import in_float32, widened


class Contrastive(Loss):
    """Next item among the candidates, contrast of two views in pre-training, orthogonality (eqs. 5 to 8).

    A network whose users carry no interest tokens (``extra["interests"]``) has no orthogonality term.

    Args:
        temperature: ``tau`` of every softmax over cosines.
        eval_temperature: as ``mask_duplicates`` and ``padding_candidate``, see :class:`Loss`.
        orthogonality_weight: ``gamma``.
        orthogonality_form: see :func:`orthogonality`.
        orthogonality_of_both_views: whether the second view is regularised, too; pre-training only.
        seq_seq_weight: ``lambda``; pre-training only, 0 encodes one view.
        seq_seq_form: see :func:`seq_seq`.
        augmentation: makes the two views of a batch; pre-training only.

    Raises:
        ConfigError: an unknown form.
    """

    def __init__(
        self,
        temperature: float = 0.07,
        eval_temperature: float | None = None,
        *,
        orthogonality_weight: float = 1e-4,
        orthogonality_form: OrthogonalityForm = "cosine",
        orthogonality_of_both_views: bool = False,
        seq_seq_weight: float = 1e-3,
        seq_seq_form: SeqSeqForm = "paper",
        mask_duplicates: bool = True,
        padding_candidate: bool = False,
        augmentation: Augmentation | None = None,
    ) -> None:
        super().__init__(temperature, eval_temperature)
        self.orthogonality_weight = orthogonality_weight
        self.orthogonality_form = chosen(
            "objective.orthogonality_form", orthogonality_form, get_args(OrthogonalityForm)
        )
        self.orthogonality_of_both_views = orthogonality_of_both_views
        self.seq_seq_weight = seq_seq_weight
        self.seq_seq_form = chosen("objective.seq_seq_form", seq_seq_form, get_args(SeqSeqForm))
        self.mask_duplicates = mask_duplicates
        self.padding_candidate = padding_candidate
        self.views = augmentation if seq_seq_weight or orthogonality_of_both_views else None

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        main = -step.log_prob(step.candidates)
        found = {"next_item" if step.views is None else "seq_item": main}
        total, second = main, step.views[0] if step.views else None
        if "interests" in step.users.groups[0].extra:
            penalty = self._orthogonality(step, step.users)
            total = total + self.orthogonality_weight * step.of_rows(penalty)
            found["orthogonality"] = penalty
        if second is not None:
            with in_float32(main.device):
                found["seq_seq"] = seq_seq(
                    step.users.last,
                    step.gather_histories(step.users.last),
                    step.gather_histories(second.last),
                    step.own_histories,
                    self.temperature,
                    self.seq_seq_form,
                )
            total = total + self.seq_seq_weight * step.of_rows(found["seq_seq"])
            if self.orthogonality_of_both_views and "orthogonality" in found:
                penalty = self._orthogonality(step, second)
                total = total + self.orthogonality_weight * step.of_rows(penalty)
                found["orthogonality"] = found["orthogonality"] + penalty
        return {"loss": total, **found}

    def _orthogonality(self, step: Step, users: GroupedUsers) -> Tensor:
        """``[B]`` the regulariser of eqs. (7) and (8)."""

        def of_group(group: Users) -> Tensor:
            interests, is_padding = group.extra["interests"], group.extra["is_interest_padding"]
            return orthogonality(widened(interests), is_padding, self.orthogonality_form, step.num_histories)

        with in_float32(users.state.device):
            return users.each(of_group)
