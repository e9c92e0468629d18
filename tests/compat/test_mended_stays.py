"""The default is as it was before there was a ``compat``: numbers recorded then, with the authors' weights."""

import pytest
import torch
from golden_files import HERE, THEIRS, arrays, catalogue_of, shape_of

from missrec_pl.checkpoints.imported.names import model_kwargs_of_released, translate_released
from missrec_pl.data.batch import SequenceBatch
from missrec_pl.losses import Contrastive
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.interests import InterestSettings
from missrec_pl.nn.missrec import MISSRecReleased

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
    catalogue = catalogue_of(memory_domain, features)
    table = catalogue.whole(torch.device("cpu"))
    fusion = "contextual" if "contextual" in name else "add"
    sizes = model_kwargs_of_released(state)
    shape = shape_of(catalogue, sizes.pop("max_history"))
    assert (sizes.pop("num_items"), sizes.pop("feature_dims")) == (shape.num_items, shape.feature_dims)
    model = MISSRecReleased(
        shape,
        interests=InterestSettings(sizes.pop("num_prototypes")),
        item_ids=sizes.pop("transductive"),
        num_heads=4,
        sequence_fusion=fusion,
        **sizes,
    )
    model.load_state_dict(translate_released(state).weights)
    model.double().interests.assignment[table.is_missing] = 0
    loss = Contrastive(orthogonality_weight=0.1)
    module = TrainingModule(model, loss, lambda groups: None, data=shape).eval()
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
