"""RecBole's part of `rivals.py`, run by the python of RecBole's environment: `recbole_run.py JOB`, JOB as JSON."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

for old, new in (("float_", np.float64), ("complex_", np.complex128), ("unicode_", np.str_), ("bool8", np.bool_)):
    if not hasattr(np, old):  # RecBole 1.2.1 asks for names that NumPy 2 dropped
        setattr(np, old, new)

from recbole.config import Config  # noqa: E402
from recbole.data import create_dataset, data_preparation  # noqa: E402
from recbole.utils import get_model, get_trainer, init_seed  # noqa: E402

MODELS = {"sasrec": "SASRec", "gru4rec": "GRU4Rec", "bert4rec": "BERT4Rec"}


def write_atomic(data: Path, folder: Path) -> None:
    """RecBole's own layout, with the place in the sequence as the time."""
    stored = np.load(data)
    starts = np.concatenate([[0], stored["ends"][:-1]])
    folder.mkdir()
    with (folder / "shared.inter").open("w") as file:
        file.write("user_id:token\titem_id:token\ttimestamp:float\n")
        for user, (start, end) in enumerate(zip(starts, stored["ends"], strict=True)):
            for place, item in enumerate(stored["items"][start:end]):
                file.write(f"{user}\t{item}\t{place}\n")


def settings(job: dict[str, Any]) -> dict[str, Any]:
    """Sizes, batches and protocol."""
    dropout = {"hidden_dropout_prob": job["dropout"], "attn_dropout_prob": job["dropout"]}
    if job["network"] == "gru4rec":
        dropout = {"dropout_prob": job["dropout"]}
    return {
        **dropout,
        "data_path": str(Path.cwd()), "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "USER_ID_FIELD": "user_id", "ITEM_ID_FIELD": "item_id", "TIME_FIELD": "timestamp",
        "MAX_ITEM_LIST_LENGTH": 50, "train_neg_sample_args": None, "loss_type": "CE",
        "eval_args": {"split": {"LS": "valid_and_test"}, "order": "TO", "group_by": "user", "mode": "full"},
        "train_batch_size": 512, "eval_batch_size": 1024, "learning_rate": job.get("rate", 1e-3),
        "metrics": ["Recall", "NDCG"], "topk": [10, 50], "valid_metric": "NDCG@10",
        "epochs": job.get("epochs", 1), "stopping_step": job.get("patience", 10), "eval_step": 1,
        "use_gpu": False, "show_progress": False, "seed": job.get("seed", 0), "reproducibility": True,
        "state": "ERROR", "checkpoint_dir": str(Path.cwd() / "saved"), "mask_ratio": 0.2,
    }  # fmt: skip


def main() -> None:
    job = json.loads(sys.argv[1])
    torch.set_num_threads(1)
    load = torch.load
    torch.load = lambda *args, **options: load(*args, **{"weights_only": False, **options})
    write_atomic(Path(job["data"]), Path("shared"))
    sys.argv = sys.argv[:1]
    config = Config(model=MODELS[job["network"]], dataset="shared", config_dict=settings(job))
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    training, validation, test = data_preparation(config, dataset)
    init_seed(config["seed"], config["reproducibility"])
    model = get_model(config["model"])(config, training.dataset)
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, model)
    if "patience" in job:
        trainer.fit(training, validation, saved=True, show_progress=False, verbose=False)
        found = trainer.evaluate(test, load_best_model=True, show_progress=False)
        answer = {"ndcg@10": found["ndcg@10"], "recall@10": found["recall@10"]}
    else:
        epoch = min(cpu(lambda: trainer._train_epoch(training, 0, show_progress=False)) for _ in range(2))
        evaluation = cpu(lambda: trainer.evaluate(test, load_best_model=False, show_progress=False))
        lines = Path("/proc/self/status").read_text().splitlines()
        peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) / 1024
        answer = {"epoch": epoch, "evaluation": evaluation, "peak": peak}
    Path(job["answer"]).write_text(json.dumps({name: float(value) for name, value in answer.items()}))


def cpu(run: Any) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


if __name__ == "__main__":
    main()
