"""The default is as it was before there was a ``compat``: numbers recorded then, with the authors' weights."""

import pytest
import torch
from golden_files import HERE, THEIRS, arrays, catalogue_of

from missrec_pl.checkpoints.imported.names import from_released, model_kwargs_of_released
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import Objective
from missrec_pl.modules import FinetuneModule
from missrec_pl.nn import MISSRecReleased

# Loss, mean orthogonality term, norm of the position embeddings' gradient.
BEFORE = {
    "inductive_ft_add_dynamic_shared": (6.2033858308, 0.7756565550, 0.0121920560),
    "inductive_ft_contextual_static": (6.5450189134, 0.7914759296, 0.0348040885),
    "transductive_ft_add_static": (4.9120016496, 0.9356287562, 0.0096498829),
    "transductive_ft_contextual_static": (4.9107555688, 0.9356287562, 0.0123449280),
}


@pytest.mark.parametrize("name", BEFORE)
def test_a_training_step_of_the_mended_network(name, memory_domain):
    golden = arrays(HERE / f"model_{name}.npz")
    state = {key.removeprefix("state."): value for key, value in golden.items() if key.startswith("state.")}
    features = {ours: state[f"{theirs}_embedding.weight"] for ours, theirs in THEIRS.items()}
    table = catalogue_of(memory_domain, features).whole(torch.device("cpu"))
    fusion = "contextual" if "contextual" in name else "add"
    sizes = model_kwargs_of_released(state)
    model = MISSRecReleased(**sizes, num_heads=4, history_bias="none", sequence_fusion=fusion)
    model.load_state_dict(from_released(state))
    model.double().interests.assignment[table.is_missing] = 0
    module = FinetuneModule(model, Objective(orthogonality_weight=0.1), lambda groups: None).eval()
    losses = {}
    module.log_losses = lambda batch, rows: losses.update(rows)
    target = golden["in.item_id"]
    batch = SequenceBatch(
        golden["in.item_id_list"], golden["in.item_length"], target, torch.zeros_like(target), table
    )
    loss = module.training_step(batch, 0)
    loss.backward()
    found = (
        loss.item(),
        losses["orthogonality"].mean().item(),
        model.position_embedding.weight.grad.norm().item(),
    )
    assert found == pytest.approx(BEFORE[name], rel=1e-8)
