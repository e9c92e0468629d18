"""The exported network in onnxruntime beside eager torch: CPU milliseconds of a request over all items.

python benchmarks/serving_onnx.py outputs/shop-bundle      # one thread
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import torch

from missrec_pl.serving.bundle import Bundle
from missrec_pl.serving.onnx import MODEL, ExportedNetwork, export_onnx, inputs_of
from missrec_pl.serving.scoring import Scoring, histories_of


def milliseconds(work: Callable[[], Any], repeats: int) -> str:
    seconds = []
    for _ in range(repeats + 2):
        start = time.process_time()
        work()
        seconds.append(1000 * (time.process_time() - start))
    return f"{np.median(seconds[2:]):>10.2f}{np.percentile(seconds[2:], 99):>10.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--repeats", type=int, default=30)
    options = parser.parse_args()
    torch.set_num_threads(1)
    bundle = Bundle.read(options.bundle)
    with tempfile.TemporaryDirectory() as folder:
        export_onnx(bundle, Path(folder) / "out")
        threads = onnxruntime.SessionOptions()
        threads.intra_op_num_threads = threads.inter_op_num_threads = 1
        session = onnxruntime.InferenceSession(str(Path(folder) / "out" / MODEL), threads)
    scoring = Scoring(
        bundle.network, bundle.scorers, bundle.manifest.temperature, bundle.manifest.data.max_history
    )
    candidates, network = bundle.items.span(1), ExportedNetwork(scoring, bundle.items)
    print(f"{type(bundle.network).__name__}, {len(candidates.ids):,} items; histories of 3 to 20")
    print(f"{'':<22}{'p50 ms':>10}{'p99 ms':>10}")
    draw = np.random.default_rng(0)
    for batch in (1, 64):
        rows = [draw.integers(1, len(candidates.ids) + 1, draw.integers(3, 21)).tolist() for _ in range(batch)]
        histories = histories_of(rows, scoring.max_history, torch.device("cpu"))
        given = candidates.ids, candidates.vectors, list(candidates.extra.values())
        inputs = inputs_of(histories.rows, histories.length, candidates)
        with torch.no_grad():
            eager = milliseconds(lambda: network(histories.rows, histories.length, *given), options.repeats)  # noqa: B023
        exported = milliseconds(lambda: session.run(["scores"], inputs), options.repeats)  # noqa: B023
        print(f"{f'torch, batch {batch}':<22}{eager}")
        print(f"{f'onnxruntime, batch {batch}':<22}{exported}", flush=True)


if __name__ == "__main__":
    main()
