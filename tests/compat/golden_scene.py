"""A file of the authors' arrays driven through our config, catalogue, network and Lightning module.

``model_<stage>_<sequence fusion>_<item fusion>.npz`` becomes the catalogue and the batch that the data module
would make, the network and the objective of ``model=missrec_compat``, and a training step of the module. What the
step computes on its way is recorded under the names of the file.
"""

from pathlib import Path
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from golden_files import THEIRS, arrays, catalogue_of, dense, interest_ids, shape_of, tables, transformed
from released_names import to_released
from runs import composed

from missrec_pl.checkpoints.imported.names import model_kwargs_of_released, translate_released
from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.experiment import building
from missrec_pl.losses.contrast import orthogonality
from missrec_pl.nn.missrec.base import as_tokens

NUM_HEADS = 4  # no array says it


class Recorded:
    """An augmentation whose second view is the file's: texts that have moved, images that have not."""

    def __init__(self, row_of: torch.Tensor, golden: dict[str, torch.Tensor]) -> None:
        self.history, self.length = row_of[golden["in.item_id_list_aug"]], golden["in.item_length_aug"]

    def __call__(self, batch):
        torn = torch.stack([self.history, batch.history])
        kept = {"target": batch.target, "domain": batch.domain, "items": batch.items}
        return batch, TornBatch(history=self.history, length=self.length, modality_history=torn, **kept)


class Scene:
    """One file's network, module and batch."""

    def __init__(self, path: Path, memory_domain) -> None:
        self.golden = arrays(path)
        self.is_pretrain = "in.item_id_list_aug" in self.golden
        state = {name.removeprefix("state."): value for name, value in self.golden.items() if name[:6] == "state."}
        shared = tables()
        features = {
            name: state.get(f"{theirs}_embedding.weight", shared[f"{theirs}_w"]) for name, theirs in THEIRS.items()
        }
        self.catalogue = catalogue_of(memory_domain, features)
        weights = translate_released(state).weights
        if self.is_pretrain:  # there, their interests are kept with the data
            lookups = [shared[f"{theirs}_interest_lookup_table"] for theirs in THEIRS.values()]
            weights["fitted.interests.prototypes"] = shared["interest_embeddings"]
            weights["fitted.interests.assignment"] = torch.stack(lookups, dim=1)
            weights["fitted.interests.num_refreshes"] = torch.ones((), dtype=torch.long)
        sizes = model_kwargs_of_released(state)
        self.cfg = self._config(sizes, len(weights["fitted.interests.prototypes"]) - 1)
        data = SimpleNamespace(shape=shape_of(self.catalogue, sizes["max_history"]), choose=lambda **said: None)
        self.module = building.build_module(self.cfg, data).eval()
        self.model = self.module.model
        self.model.load_state_dict(weights)
        self.losses: dict[str, torch.Tensor] = {}
        self.module.log_losses = lambda batch, losses: self.losses.update(losses)
        self.batch = self._batch()

    def _config(self, sizes: dict, num_prototypes: int):
        golden = self.golden
        is_contextual = golden["out.fwd0.item_emb"].dim() == 4
        alpha = sizes["fusion_concentration"]
        return composed(
            f"phase={'pretrain' if self.is_pretrain else 'finetune'}",
            f"setting={'transductive' if sizes['transductive'] else 'inductive'}",
            "model=missrec_compat",
            f"interest.num_prototypes={num_prototypes}",
            f"model.sequence_fusion={'contextual' if is_contextual else 'add'}",
            f"model.fusion_concentration={'null' if alpha is None else alpha}",
            f"model.num_heads={NUM_HEADS}",
            *(f"model.{key}={sizes[key]}" for key in ("hidden_size", "inner_size")),
            *(f"model.num_{stack}_layers={sizes[f'num_{stack}_layers']}" for stack in ("encoder", "decoder")),
            f"data.max_history={sizes['max_history']}",
            f"objective.temperature={float(golden['meta.temperature'])}",
            f"objective.orthogonality_weight={float(golden['meta.gamma'])}",
            f"objective.seq_seq_weight={float(golden['meta.lambda'])}",
        )

    def _batch(self) -> SequenceBatch:
        golden = self.golden
        history, target = golden["in.item_id_list"], golden["in.item_id"]
        if self.is_pretrain:  # a table of the batch's distinct items
            ids = torch.cat([torch.zeros(1, dtype=torch.long), history.flatten(), target]).unique()
            row_of = torch.zeros(self.catalogue.num_items + 1, dtype=torch.long)
            row_of[ids] = torch.arange(len(ids))
            history, target, table = row_of[history], row_of[target], self.catalogue.table(ids)
            self.module.loss.views = Recorded(row_of, golden)
        else:
            table = self.catalogue.whole(torch.device("cpu"))
        return SequenceBatch(history, golden["in.item_length"], target, torch.zeros_like(target), table)

    def step(self) -> dict[str, torch.Tensor]:
        """A training step, forwards and backwards, and scores of all items; every array of the file as ours."""
        calls = {"encoder": [], "decoder": [], "encode_histories": [], "score": []}
        for name in calls:
            _record(self.model, name, calls[name])
        loss = self.module.training_step(self.batch, 0)
        loss.backward()
        found = {"out.loss_total": loss, "out.fused_logits_before_temperature": calls["score"][0][1]}
        for i, (arguments, users) in enumerate(list(calls["encode_histories"])):
            view = self._forward(arguments, users) | {
                "encoder_memory": calls["encoder"][i][1],
                "decoder_output": calls["decoder"][i][1],
            }
            found |= {f"out.fwd{i}.{name}": value for name, value in view.items()}
        names = {"seq_item": "loss_seq_item", "seq_seq": "loss_seq_seq", "next_item": "loss_ce"}
        found |= {f"out.{names[name]}": rows.mean() for name, rows in self.losses.items() if name in names}
        gradients = {name: p.grad for name, p in self.model.named_parameters() if p.grad is not None}
        found |= {f"grad.{name}": value for name, value in to_released(gradients).items()}
        return found | self._state() | self._inputs() | self._scores()

    def _forward(self, arguments, users) -> dict[str, torch.Tensor]:
        history, items = arguments[0].rows, as_tokens(arguments[1])
        tokens = self.model.item_tokens(history, items)
        ids, lengths = interest_ids(self.model, history, items)
        return {
            "item_emb": tokens.squeeze(1) if self.model.sequence_fusion == "add" else tokens,
            "item_modal_empty_mask": items.is_missing[history].transpose(1, 2),
            "interest_seq": ids,
            "interest_emb": self.model.interests.prototypes[ids],
            "interest_seq_len": lengths,
            "seq_output_raw": users.state,
            "seq_output": F.normalize(users.state, dim=-1),
            "orth_reg": self._orthogonality(users).mean(),
        }

    def _orthogonality(self, users) -> torch.Tensor:
        vectors, is_padding = users.extra["interests"], users.extra["is_interest_padding"]
        return orthogonality(vectors, is_padding, self.module.loss.orthogonality_form)

    def _state(self) -> dict[str, torch.Tensor]:
        found = to_released(self.model.state_dict())
        for m, (name, theirs) in enumerate(THEIRS.items()):
            found[f"{theirs}_embedding.weight"] = dense(self.batch.items, name)
            found[f"{theirs}_embedding_empty_mask"] = self.batch.items.is_missing[:, m]
        return {f"state.{name}": value for name, value in found.items()}

    def _inputs(self) -> dict[str, torch.Tensor]:
        views = self.module.loss.views(self.batch) if self.is_pretrain else (self.batch, self.batch)
        return {f"in.{name}": value for name, value in transformed(self.model, *views).items()}

    def _scores(self) -> dict[str, torch.Tensor]:
        found = {}
        items, histories = self.module.encode_items(self.batch.items), self.module.histories(self.batch)
        for suffix, is_recording in (("", True), ("_nograd", False)):
            with torch.set_grad_enabled(is_recording):
                users = self.module.encode(self.batch, items)
                found[f"out.full_sort_scores{suffix}"] = self.module.logits(users.state, histories, items, items)
                found[f"out.orth_reg{suffix}"] = users.each(self._orthogonality).mean()
        return found


def _record(model, name: str, calls: list) -> None:
    """Keep arguments and results of a method, or of the forward method of a part."""
    owner, attribute = (getattr(model, name), "forward") if name in ("encoder", "decoder") else (model, name)
    method = getattr(owner, attribute)

    def recorded(*arguments):
        result = method(*arguments)
        # The network asks for the last item's outputs; theirs are of all items.
        calls.append((arguments, method(*arguments[:4]) if name == "decoder" else result))
        return result

    setattr(owner, attribute, recorded)
