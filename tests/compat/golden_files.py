"""The authors' arrays, and what our data layer makes of their inputs."""

import os
from pathlib import Path

import numpy as np
import torch

from missrec_pl.data.augmentations_released import TornBatch
from missrec_pl.data.items.catalogue import Catalogue
from missrec_pl.modules.histories import torn
from missrec_pl.nn.contract import DataShape, Histories, ItemInputs
from missrec_pl.nn.missrec.base import as_tokens

HERE = Path(__file__).parents[1] / "golden"
FOLDER = Path(os.environ.get("GOLDEN_DIR") or HERE)
THEIRS = {"text": "plm", "image": "img"}
RELATIVE = 1e-5


def files(pattern: str) -> list[Path]:
    return sorted(FOLDER.glob(pattern))


def arrays(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path) as file:
        return {name: torch.from_numpy(np.asarray(file[name])) for name in file.files}


def tables() -> dict[str, torch.Tensor]:
    """The inputs that all files of a folder share."""
    return arrays(next(folder / "tables.npz" for folder in (FOLDER, HERE) if (folder / "tables.npz").is_file()))


def catalogue_of(memory_domain, features: dict[str, torch.Tensor], **views: torch.Tensor) -> Catalogue:
    """A catalogue of feature tables [N+1, F]; an all-zero row is a missing feature."""
    lists = {name: [row if any(row) else None for row in rows[1:].tolist()] for name, rows in features.items()}
    domain = memory_domain("golden", features=lists)
    domain.views = views
    domain._rows |= {name: rows.numpy() for name, rows in views.items()}
    return Catalogue([domain], list(lists))


def shape_of(catalogue: Catalogue, max_history: int) -> DataShape:
    """Sizes of a catalogue, for a network."""
    present = (~catalogue.is_missing).sum(0).tolist()
    return DataShape(
        catalogue.num_items,
        catalogue.feature_dims,
        dict(zip(catalogue.modalities, present, strict=True)),
        max_history=max_history,
    )


def dense(table, name: str) -> torch.Tensor:
    """Features of an item table [U, F], zeros where there are none."""
    out = torch.zeros(len(table.ids), table.features[name].shape[1])
    return out.index_copy(0, table.rows[name], table.features[name])


def transformed(model, first, second) -> dict[str, torch.Tensor]:
    """What the released transform adds to a batch, by its names there, from two views of ours.

    Args:
        model: holds the interest table.
        first: the batch.
        second: its augmented view.
    """
    found = {}
    for suffix, view in (("", first), ("_aug", second)):
        rows = view.modality_history if isinstance(view, TornBatch) else view.history.expand(2, -1, -1)
        table = view.items
        found |= {
            f"text_emb_list{suffix}": dense(table, "text")[rows[0]],
            f"text_emb_empty_mask_list{suffix}": table.is_missing[rows[0], 0],
            f"item_id_list{suffix}": table.ids[view.history],
            f"item_length{suffix}": view.length,
        }
        histories, items = Histories(view.history, view.length), model.encode_items(ItemInputs(table))
        if isinstance(view, TornBatch):
            histories, items = torn(view, histories, items)
        ids, lengths = interest_ids(model, histories.rows, items)
        found |= {
            f"unique_interest_list{suffix}": ids,
            f"unique_interest_emb_list{suffix}": model.interests.prototypes[ids],
            f"unique_interest_len{suffix}": lengths,
        }
        if isinstance(view, TornBatch):  # the images of the second view are the first one's
            assert torch.equal(rows[1], first.history)
    table = first.items
    return found | {
        "img_emb_list": dense(table, "image")[first.history],
        "img_emb_empty_mask_list": table.is_missing[first.history, 1],
        "pos_text_emb": dense(table, "text")[first.target],
        "pos_img_emb": dense(table, "image")[first.target],
        "item_id": table.ids[first.target],
    }


def interest_ids(model, history: torch.Tensor, items) -> tuple[torch.Tensor, torch.Tensor]:
    """The interests that the network reads, by index, and how many different ones a row has, 0 counted."""
    interest = as_tokens(items).interest[history].flatten(1)
    is_cut = history.shape[1] < model.max_history
    ids, is_padding = model.rules.distinct_interests(interest, is_cut=is_cut, training=False)
    assert torch.equal(is_padding, ids == 0)
    return ids, torch.tensor([len(set(row)) for row in interest.tolist()])


def assert_same(name: str, found: torch.Tensor, expected: torch.Tensor) -> None:
    """Equal, or for floats within the tolerance of the largest value of the array (of a gradient's row)."""
    assert found.shape == expected.shape, name
    if not expected.is_floating_point():
        assert torch.equal(found, expected), name
        return
    error = worst(name, found, expected)
    assert error < RELATIVE, f"{name}: off by {error:.1e} of its size"


def worst(name: str, found: torch.Tensor, expected: torch.Tensor) -> float:
    """The largest error of an array, as a share of its largest value; rows of a gradient by themselves.

    The gradient of the padding item's ID embedding, a vector of length 0 that is normalised, is 10^11 times that
    of any other row.
    """
    scale = expected.abs()
    scale = scale.amax(-1, keepdim=True) if name == "grad.item_embedding.weight" else scale.max()
    difference = (found.detach() - expected).abs()
    return float(torch.where(difference > 0, difference / scale, 0.0).max())
