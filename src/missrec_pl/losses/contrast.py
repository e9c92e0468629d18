"""Next item, contrast of two views, interests kept apart (Wang et al., ACM MM 2023), for any network."""

from __future__ import annotations

from typing import Literal, get_args

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from missrec_pl.losses.base import Augmentation, Loss
from missrec_pl.losses.step import Step
from missrec_pl.nn.blocks.unit_vectors import unit_vectors
from missrec_pl.nn.contract import Users
from missrec_pl.nn.encoding import GroupedUsers
from missrec_pl.system.choices import chosen
from missrec_pl.system.precision import in_float32, widened

SeqSeqForm = Literal["paper", "literal", "released", "views"]
OrthogonalityForm = Literal["cosine", "literal", "released"]


class Contrastive(Loss):
    """Next item among the candidates, contrast of two views in pre-training, orthogonality (eqs. 5 to 8).

    A network whose users carry no interest tokens (``extra["interests"]``) has no orthogonality term.

    Args:
        temperature: ``tau`` of every softmax over cosines.
        eval_temperature: see :class:`Loss`, as for ``mask_duplicates`` and ``padding_candidate``.
        duplicate_logit: see :class:`Loss`; None takes duplicates out.
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
        duplicate_logit: float | None = None,
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
        if duplicate_logit is not None:
            self.duplicate_logit = duplicate_logit
        self.views = augmentation if seq_seq_weight or orthogonality_of_both_views else None

    def forward(self, step: Step) -> dict[str, Tensor]:
        """See :meth:`Loss.forward`."""
        main = step.cross_entropy(step.candidates)
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
                    is_copy=self._same_target(step),
                    duplicate_logit=self.duplicate_logit,
                )
            total = total + self.seq_seq_weight * step.of_rows(found["seq_seq"])
            if self.orthogonality_of_both_views and "orthogonality" in found:
                penalty = self._orthogonality(step, second)
                total = total + self.orthogonality_weight * step.of_rows(penalty)
                found["orthogonality"] = found["orthogonality"] + penalty
        return {"loss": total, **found}

    def _same_target(self, step: Step) -> Tensor | None:
        """``[B, G]`` other histories with the same target, for the form that leaves them out."""
        if self.seq_seq_form != "views" or not self.mask_duplicates:
            return None
        is_same = step.last_target[:, None] == step.gather_histories(step.last_target)
        return is_same.scatter(1, step.own_histories[:, None], False)

    def _orthogonality(self, step: Step, users: GroupedUsers) -> Tensor:
        """``[B]`` the regulariser of eqs. (7) and (8)."""

        def of_group(group: Users) -> Tensor:
            interests, is_padding = group.extra["interests"], group.extra["is_interest_padding"]
            return orthogonality(widened(interests), is_padding, self.orthogonality_form, step.num_histories)

        with in_float32(users.state.device):
            return users.each(of_group)


def seq_seq(
    state: Float[Tensor, "B D"],
    all_states: Float[Tensor, "G D"],
    all_augmented: Float[Tensor, "G D"],
    own_column: Int[Tensor, " B"],
    temperature: float,
    form: SeqSeqForm = "paper",
    *,
    is_copy: Bool[Tensor, "B G"] | None = None,
    duplicate_logit: float = float("-inf"),
) -> Float[Tensor, " B"]:
    """Sequence-sequence contrastive loss (eq. 6).

    Args:
        state: this process's user states ``u``.
        all_states: the user states of the global batch.
        all_augmented: the states ``u'`` of their second views, in the same order.
        own_column: position of each row of ``state`` in the global batch.
        temperature: ``tau``.
        form: ``"paper"`` leaves ``<u_i, u_i>`` out of the denominator, ``"literal"`` keeps it as printed in
            eq. (6), ``"released"`` contrasts with the second views alone, and so does ``"views"``, but for those
            of histories with the same target (UniSRec).
        is_copy: what ``"views"`` leaves out; None: nothing.
        duplicate_logit: the logit of these; see :class:`Loss`.

    Raises:
        ConfigError: an unknown form.
    """
    chosen("objective.seq_seq_form", form, get_args(SeqSeqForm))
    user = unit_vectors(state)
    across = user @ unit_vectors(all_augmented).T / temperature
    if form in ("released", "views"):
        if is_copy is not None:
            across = across.masked_fill(is_copy, duplicate_logit)
        return F.cross_entropy(across, own_column, reduction="none")
    within = user @ unit_vectors(all_states).T / temperature
    if form == "paper":
        within = within.scatter(1, own_column[:, None], float("-inf"))
    return F.cross_entropy(torch.cat([across, within], dim=1), own_column, reduction="none")


def orthogonality(
    vectors: Float[Tensor, "B Q D"],
    is_padding: Bool[Tensor, "B Q"],
    form: OrthogonalityForm = "cosine",
    batch_size: int | None = None,
) -> Float[Tensor, " B"]:
    """``1 / M^2 * sum_{m, m'} <xi_m, xi_m'>`` (eq. 7), the squared norm of the mean vector.

    It keeps the interest-aware vectors of a user apart.

    Args:
        vectors: the decoded interests ``xi`` of each user.
        is_padding: which of them mean nothing.
        form: ``"cosine"`` normalises the vectors first, so that the term is a mean cosine; ``"literal"`` takes
            them as they are, as eq. (7) is printed: on LayerNorm outputs nearly a constant of size ``D``;
            ``"released"`` is what the authors' code computes, ``batch_size / D * |sum_q xi_q * share|^2``, the
            share being that of the columns that are no padding.
        batch_size: rows of the global batch, by default those that are given; the released form grows with it.

    Raises:
        ConfigError: an unknown form.
    """
    chosen("objective.orthogonality_form", form, get_args(OrthogonalityForm))
    weight = (~is_padding).to(vectors.dtype)
    if form == "released":
        # Padding is summed like everything else, and the share depends on how far the batch is padded. The authors
        # sum over the batch where other terms average: each row carries its size, so that the mean is that sum.
        pooled = vectors.sum(1) * weight.mean(1, keepdim=True)
        return pooled.square().sum(-1) * ((batch_size or len(vectors)) / vectors.shape[-1])
    count = weight.sum(1, keepdim=True).clamp_min(1)
    if form == "cosine":
        vectors = unit_vectors(vectors)
    mean = torch.bmm(weight[:, None], vectors)[:, 0] / count
    return mean.square().sum(-1)
