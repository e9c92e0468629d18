"""RecTools' part of `rivals.py`, run by RecTools' environment's python: `rectools_run.py JOB`, JOB as JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from pytorch_lightning import Callback, Trainer
from rectools import Columns
from rectools.dataset import Dataset
from rectools.models import BERT4RecModel, SASRecModel

MODELS = {"sasrec": SASRecModel, "bert4rec": BERT4RecModel}


class Clock(Callback):
    """CPU seconds of each epoch, of all copies: RecTools trains with a copy of the trainer."""

    seconds: ClassVar[list[float]] = []
    start = 0.0

    def on_train_epoch_start(self, *_: Any) -> None:
        self.start = time.process_time()

    def on_train_epoch_end(self, *_: Any) -> None:
        self.seconds.append(time.process_time() - self.start)


def interactions(data: Path) -> pd.DataFrame:
    """All but the last two items of each user."""
    stored = np.load(data)
    starts = np.concatenate([[0], stored["ends"][:-1]])
    lengths = stored["ends"] - starts
    user = np.repeat(np.arange(len(lengths)), lengths)
    place = np.arange(len(user)) - starts[user]
    kept = place < lengths[user] - 2
    day = pd.Timestamp("2020-01-01") + pd.to_timedelta(place[kept], unit="D")
    columns = {Columns.User: user[kept], Columns.Item: stored["items"][kept], Columns.Weight: 1.0}
    return pd.DataFrame({**columns, Columns.Datetime: day})


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    if job["network"] not in MODELS:
        sys.exit(f"RecTools has no {job['network']}")
    clock = Clock()

    def trainer() -> Trainer:
        return Trainer(
            max_epochs=2, accelerator="cpu", logger=False, enable_checkpointing=False, callbacks=[clock],
            enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip

    dataset = Dataset.construct(interactions(Path(job["data"])))
    model = MODELS[job["network"]](
        n_factors=64, n_blocks=2, n_heads=2, session_max_len=50, batch_size=128, loss="softmax", lr=1e-3,
        dropout_rate=job["dropout"], get_trainer_func=trainer, recommend_torch_device="cpu",
        recommend_batch_size=1024,
    )  # fmt: skip
    model.fit(dataset)
    users = dataset.user_id_map.external_ids
    start = time.process_time()
    model.recommend(users, dataset, k=50, filter_viewed=False)
    evaluation = time.process_time() - start
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
    answer = {"epoch": min(clock.seconds), "evaluation": evaluation, "peak": peak}
    Path(job["answer"]).write_text(json.dumps(answer))


if __name__ == "__main__":
    main()
