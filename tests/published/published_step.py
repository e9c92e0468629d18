"""A training step of the project on a published program's inputs, and that program's weights in our networks."""

from contextlib import contextmanager

import torch
from published_files import assert_equal

from missrec_pl.data.batch import SequenceBatch
from missrec_pl.data.candidates import Candidates
from missrec_pl.data.items.table import ItemTable
from missrec_pl.modules import TrainingModule
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs


def right_padded(left, is_real):
    """What a published program pads on the left, with the padding on the right, and the lengths."""
    length = is_real.sum(1)
    order = torch.arange(left.shape[1]) + left.shape[1] - length[:, None]
    is_inside = torch.arange(left.shape[1]) < length[:, None]
    index = order.clamp_max(left.shape[1] - 1)
    shape = (*index.shape, *[1] * (left.dim() - 2))
    moved = left.take_along_dim(index.view(shape), 1)
    return moved * is_inside.view(shape), length


def places_of(length, width):
    """Flat numbers of all real places."""
    return (torch.arange(width) < length[:, None]).flatten().nonzero()[:, 0]


def table_of(num_items, *, is_whole):
    nothing = torch.zeros(num_items + 1, 0, dtype=torch.bool)
    return ItemTable(torch.arange(num_items + 1), nothing, {}, {}, is_whole=is_whole)


class TrainingStep(TrainingModule):
    """The Lightning module, but for the trainer; ``losses [R]`` are those of the last step."""

    def log_losses(self, batch, losses):
        self.losses = losses["loss"]


def step_of(network, loss, history, target, *, negatives=None, place=None, times=None):
    """Mean loss of a step (with gradient), and each target's.

    Args:
        history: rows, right-padded with 0, and lengths.
        target: one for each history, or one for each of the flat places.
        negatives: random items of each target; None: all items are candidates.
    """
    rows, length = history
    candidates = None
    if negatives is not None:
        candidates = Candidates(torch.cat([target[:, None], negatives], 1))
    num_items = network.item_embedding.num_embeddings - 1
    batch = SequenceBatch(
        history=rows,
        length=length,
        target=target,
        domain=torch.zeros(len(rows), dtype=torch.long),
        items=table_of(num_items, is_whole=negatives is None),
        candidates=candidates,
        place=place,
        times=times,
    )
    module = TrainingStep(network.train(), loss, None, data=DataShape(num_items, {}))
    return module.training_step(batch, 0), module.losses


def outputs_of(network, history, times=None):
    """What the network's parts give in eval mode: states, and the outputs of the modules that ``kept`` names."""
    num_items = network.item_embedding.num_embeddings - 1
    items = network.eval().encode_items(ItemInputs(table_of(num_items, is_whole=True)))
    rows, length = history
    return network.encode_histories(Histories(rows, length, times=times), items).state, items


@contextmanager
def watched(modules):
    """Inputs and outputs of modules by name, while the network is called."""
    found, handles = {}, []
    for name, module in modules.items():

        def keep(_, given, result, name=name):
            found[f"{name}_input"], found[name] = given[0], result

        handles.append(module.register_forward_hook(keep))
    yield found
    for handle in handles:
        handle.remove()


class At:
    """Where the numbers of a published tensor are in our network.

    Args:
        name: our parameter.
        ours: some rows of it.
        theirs: rows of theirs that ours are, in this order; the others are read nowhere.
        flip: whether the rows stand in the other order.
        transpose: whether theirs is the transpose.
    """

    def __init__(self, name, ours=None, *, theirs=None, flip=False, transpose=False):
        self.name, self.ours = name, slice(None) if ours is None else ours
        self.theirs, self.flip, self.transpose = theirs, flip, transpose

    def of_theirs(self, tensor):
        """Their tensor as ours."""
        if self.theirs is not None:
            tensor = tensor[self.theirs]
        tensor = tensor.flip(0) if self.flip else tensor
        return tensor.T if self.transpose else tensor


def load(network, state, mapping):
    """Put published weights into a network; every one of them, and every one of ours, has to be used.

    Args:
        mapping: where each of their tensors is, or where its pieces are.
    """
    assert set(mapping) == set(state), set(mapping) ^ set(state)
    weights = {name: weight.detach() for name, weight in network.named_parameters()}
    filled = {name: torch.full_like(weight, torch.nan) for name, weight in weights.items()}
    for name, tensor in state.items():
        for at in pieces(mapping[name]):
            ours, theirs = filled[at.name][at.ours], at.of_theirs(tensor)
            assert ours.shape == theirs.shape, (name, ours.shape, theirs.shape)
            ours.copy_(theirs)
    for name, tensor in filled.items():
        assert tensor.isfinite().all(), f"{name} has no published counterpart"
        weights[name].copy_(tensor)


def check_gradients(network, mapping, published):
    """The gradients of the network's last backward pass are the published ones."""
    found = dict(network.named_parameters())
    assert published
    for name, tensor in published.items():
        unused = tensor.clone()
        for at in pieces(mapping[name]):
            assert found[at.name].grad is not None, name
            assert_equal(found[at.name].grad[at.ours], at.of_theirs(tensor), name=f"grad.{name}")
            unused[slice(None) if at.theirs is None else at.theirs] = 0
        assert not unused.any(), name


def pieces(mapped):
    return [mapped] if isinstance(mapped, At) else mapped


def layers_of(state, beginning):
    """Number of layers whose weights' names begin so, followed by the layer's number."""
    return 1 + max(int(name[len(beginning) :].split(".")[0]) for name in state if name.startswith(beginning))
