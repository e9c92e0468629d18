"""A bundle's network as ONNX: histories and candidate vectors in, scores out, run without torch.

The auxiliary scorers stay behind: what they look up has a size of its own for every history.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.export import Dim

from missrec_pl.errors import ConfigError
from missrec_pl.nn.contract import Histories, Items, Users
from missrec_pl.nn.scorers import Scorers
from missrec_pl.serving.bundle import Bundle, new_folder
from missrec_pl.serving.manifest import ITEMS
from missrec_pl.serving.scoring import Scoring, best, histories_of
from missrec_pl.system.shapes import fixed_shapes

log = logging.getLogger(__name__)

MODEL, CANDIDATES = "model.onnx", "candidates.safetensors"
_TOLERANCE = 1e-4
_TRIED, _BEST = 16, 50
_COMPARED = 10


class ExportedNetwork(nn.Module):
    """What is exported: encodes histories and scores given candidates.

    Args:
        scoring: the network, whose auxiliary scorers are left out.
        items: the encoded catalogue, which histories refer to and which becomes part of the file.
    """

    def __init__(self, scoring: Scoring, items: Items) -> None:
        super().__init__()
        self.scoring, self.network, self._items = scoring, scoring.network, items

    def forward(
        self, history: Tensor, length: Tensor, ids: Tensor, vectors: Tensor, extra: list[Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Scores ``[B, C]`` over the temperature, and user states ``[B, D]``.

        Args:
            history: ``[B, L]`` item numbers, right-padded with 0.
            length: ``[B]`` items of each history.
            ids: ``[C]`` numbers of the candidates.
            vectors: ``[C, ...]`` their vectors.
            extra: ``[C, ...]`` their further tensors, in the order of the catalogue's.
        """
        state = self.scoring.states(Histories(history, length), self._items, num_buckets=1)
        candidates = type(self._items)(vectors, ids, dict(zip(self._items.extra, extra, strict=True)))
        return self.network.score(Users(state), candidates) / self.scoring.temperature, state


def export_onnx(bundle: Bundle, out: Path, *, overwrite: bool = False) -> None:
    """Write the folder of an ONNX file, whole or not at all.

    It holds ``model.onnx``; ``candidates.safetensors``, the vectors of all items, of which callers give the rows
    that they want scored; and ``items.parquet``, whose row ``i`` is item ``i + 1``. Before it is given out, a few
    histories are scored by onnxruntime and by torch.

    Args:
        bundle: whose network.
        out: the folder.
        overwrite: whether such a folder is replaced.

    Raises:
        ConfigError: the extra ``onnx`` is missing, the folder is taken, or the network reads times or cannot be
            exported.
    """
    runtime = _runtime()
    manifest = bundle.manifest
    scoring = Scoring(bundle.network, bundle.scorers, manifest.temperature, manifest.data.max_history)
    if scoring.needs_times:
        raise ConfigError("onnx: the network reads when items were met, which the exported one does not take yet.")
    network, candidates = ExportedNetwork(scoring, bundle.items).eval(), bundle.items.span(1)
    with new_folder(out, marked_by=MODEL, overwrite=overwrite) as folder:
        _write(network, candidates, folder / MODEL, scoring.max_history)
        tensors = {"ids": candidates.ids, "vectors": candidates.vectors, **candidates.extra}
        save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, folder / CANDIDATES)
        bundle.names.write(folder / ITEMS)
        largest = _difference(network, candidates, runtime.InferenceSession(str(folder / MODEL)))
        if not largest < _TOLERANCE:
            raise ConfigError(
                f"onnx: {type(bundle.network).__name__} scores otherwise in onnxruntime (by {largest:.2g})."
            )
    log.info("onnx: scores differ by %.1g at most from torch's", largest)
    if len(bundle.scorers):
        log.warning(
            "onnx: the file scores by the network alone, the bundle by %s as well: of the bundle's best %d "
            "the file has %.0f %% among its own",
            ", ".join(bundle.scorers),
            _COMPARED,
            100 * _share_kept(scoring, bundle.items),
        )


def inputs_of(history: Tensor, length: Tensor, candidates: Items) -> dict[str, np.ndarray]:
    """What onnxruntime takes."""
    named = {"history": history, "length": length, "ids": candidates.ids, "vectors": candidates.vectors}
    return {name: tensor.numpy() for name, tensor in {**named, **candidates.extra}.items()}


def _runtime() -> Any:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        raise ConfigError(
            f"onnx needs {error.name}: pip install --constraint constraints.txt --editable '.[onnx]'"
        ) from error
    onnxruntime.set_default_logger_severity(3)
    return onnxruntime


def _write(network: ExportedNetwork, candidates: Items, path: Path, max_history: int) -> None:
    histories = _tried(len(candidates.ids), max_history)
    some = candidates.span(0, max(2, len(candidates.ids) // 2))
    given = (histories.rows, histories.length, some.ids, some.vectors, list(some.extra.values()))
    rows, count = Dim("rows", min=1), Dim("candidates", min=1)
    shapes = (
        {0: rows, 1: Dim("places", min=1, max=max_history)},
        {0: rows},
        {0: count},
        {0: count},
        [{0: count} for _ in some.extra],
    )
    names = ["history", "length", "ids", "vectors", *some.extra]
    with torch.no_grad(), fixed_shapes(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own: deprecations on its way
        network(*given)  # fills in what items remember, so that it is exported as constants
        try:
            program = torch.export.export(network, given, dynamic_shapes=shapes)
            program._guards_code = []  # what converts the program calls its guards without the inputs
            outputs = ["scores", "state"]
            torch.onnx.export(
                program,
                given,
                f=str(path),
                input_names=names,
                output_names=outputs,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # what torch.export cannot follow
            reason = " ".join(str(error).split())[:300] or type(error).__name__
            raise ConfigError(f"onnx: {type(network.network).__name__} cannot be exported ({reason}).") from error


def _tried(num_items: int, max_history: int) -> Histories:
    draw = np.random.default_rng(0)
    lengths: Sequence[int] = draw.integers(1, max_history + 1, _TRIED).tolist()
    rows = [draw.integers(1, num_items + 1, length).tolist() for length in [*lengths[1:], max_history]]
    return histories_of(rows, max_history, torch.device("cpu"))


def _share_kept(scoring: Scoring, items: Items) -> float:
    """The share of what the network with its scorers recommends that it recommends alone, too."""
    histories, candidates = _tried(len(items.ids) - 1, scoring.max_history), items.span(1)
    alone = replace(scoring, scorers=Scorers())
    both = [
        torch.cat([scores for _, scores in one.blocks(histories, items, candidates)]) for one in (scoring, alone)
    ]
    whole, network = (best(scores, _COMPARED)[1] for scores in both)
    return float((whole[:, :, None] == network[:, None, :]).any(2).float().mean())


def _difference(network: ExportedNetwork, candidates: Items, session: Any) -> float:
    """The largest difference of scores; infinity where other items come first, ties aside."""
    histories, largest = _tried(len(candidates.ids), network.scoring.max_history), 0.0
    for some in (histories, histories.cut(slice(3, 4), int(histories.length[3]))):
        with torch.no_grad():
            given = candidates.ids, candidates.vectors, list(candidates.extra.values())
            wanted, _ = network(some.rows, some.length, *given)
        found = torch.from_numpy(session.run(["scores"], inputs_of(some.rows, some.length, candidates))[0])
        largest = max(largest, float((found - wanted).abs().max()))
        if not torch.allclose(best(found, _BEST)[0], best(wanted, _BEST)[0], atol=_TOLERANCE):
            return float("inf")
    return largest
