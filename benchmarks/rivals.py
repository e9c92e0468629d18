"""Epochs, full-ranking evaluation and memory beside other programs, on the same sequences and sizes.

    python benchmarks/rivals.py --recbole ENV/bin/python --rectools ENV/bin/python
    python benchmarks/rivals.py --domain FOLDER --recbole ENV/bin/python --networks sasrec --quality 3

Each program runs in an environment of its own, which an option names: RecBole 1.2.1 (`pip install recbole==1.2.1
torch==2.13.0`), RecTools 0.19 (`pip install rectools[torch]==0.19.0 torch==2.13.0`). Without one, ours alone is
measured. The data are a domain folder or, without `--domain`, noise shaped as Scientific of the paper's table 1.

CPU seconds of one thread, every program in a process of its own, one after the other; the least of two epochs. An
epoch has every training target once (BERT4Rec: what each program hides). Ours and RecTools take a row for each
user with a target at every place, RecBole one for each prefix: 512 targets a batch, that is 128 rows. Evaluation
ranks all items for all test users. Width 64, 2 blocks, 2 heads, histories of 50; GRU4Rec has 128 hidden units.
`--quality SEEDS` trains ours and RecBole's to the best validation NDCG@10 with the same rate, dropout, budget and
patience, and ranks both alike.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
from scene import ROOT, Scene, cpu_seconds, in_a_process, machine, options_of, status_mb
from training import evaluation, write_data

from missrec_pl.data.domain.folder import Domain

NETWORKS = ("sasrec", "gru4rec", "bert4rec")
PEERS = ("recbole", "rectools")
EPOCHS, PATIENCE, RATE = 60, 6, 1e-3
DROPOUT = {"sasrec": 0.5, "gru4rec": 0.3, "bert4rec": 0.2}


def ours(job: dict[str, Any]) -> dict[str, float]:
    """An epoch with its data, and an evaluation, in this process."""
    domain = Path(job["domain"])
    where = ["data=domain", f"data.name={domain.name}", f"paths.data_dir={domain.parent}"]
    scene = Scene(*where, "setting=transductive", f"model={job['network']}", "data.batch_size=128")
    optimizer = scene.module.configure_optimizers()

    def epoch() -> None:
        for batch in scene.datamodule.train_dataloader():
            scene.learn(scene.on_device(batch), optimizer)

    scene.module.train()
    seconds = min(cpu_seconds(epoch) for _ in range(2))
    return {"epoch": seconds, "evaluation": evaluation(scene), "peak": status_mb("VmHWM")}


def export(domain: Domain, target: Path) -> None:
    """The sequences for other programs: items of all users, one after the other, and where each user's end."""
    sequences = [np.asarray(domain.sequences.of(user)) for user in range(domain.num_users)]
    ends = np.cumsum([len(sequence) for sequence in sequences])
    np.savez(target, items=np.concatenate(sequences), ends=ends, num_items=domain.num_items)


def peer(name: str, python: str, **job: Any) -> dict[str, Any] | None:
    """What a peer's script measures in its own environment; None where it has no such network."""
    script = ROOT / "benchmarks" / "peers" / f"{name}_run.py"
    with tempfile.TemporaryDirectory() as folder:
        answer = Path(folder) / "answer.json"
        call = json.dumps({"answer": str(answer), **job})
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        ended = subprocess.run(
            [python, str(script), call], cwd=folder, env={**environment, "OMP_NUM_THREADS": "1"},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not answer.is_file():
            print(f"{name}, {job['network']}: {(ended.stderr.strip() or 'no answer').splitlines()[-1]}")
            return None
        found: dict[str, Any] = json.loads(answer.read_text())
    return found


def trained(network: str, domain: Path, seed: int) -> dict[str, float]:
    """Test metrics of a run of ours."""
    passes = 4 if network == "bert4rec" else 1
    with tempfile.TemporaryDirectory() as run:
        subprocess.run(
            [
                sys.executable, str(ROOT / "train.py"), "data=domain", f"data.name={domain.name}",
                f"paths.data_dir={domain.parent}", "setting=transductive", f"model={network}", f"seed={seed}",
                "data.batch_size=128", f"trainer.max_epochs={EPOCHS * passes}", f"optim.optimizer.lr={RATE}",
                f"callbacks.early_stopping.patience={PATIENCE * passes}", f"model.dropout={DROPOUT[network]}",
                "baselines.names=[]", f"hydra.run.dir={run}",
            ],
            check=True, capture_output=True, cwd=ROOT,
        )  # fmt: skip
        metrics = json.loads((Path(run) / "results.json").read_text())["metrics"]
    return {name: metrics[f"test/{name}"] for name in ("recall@10", "ndcg@10")}


def speed_table(networks: list[str], domain: Path, exported: Path, peers: dict[str, str]) -> None:
    head = f"{'CPU seconds of one thread':<26}{'epoch':>9}{'evaluation':>12}{'peak MB':>9}{'/ours':>8}{'/ours':>8}"
    print(head, flush=True)
    for network in networks:
        own = in_a_process(__file__, network=network, domain=str(domain))
        print_row(f"{network}, ours", own, own)
        for name, python in peers.items():
            row = peer(name, python, network=network, data=str(exported), dropout=DROPOUT[network])
            if row is not None:
                print_row(f"{network}, {name}", row, own)


def print_row(name: str, row: dict[str, Any], own: dict[str, Any]) -> None:
    """One program's figures as soon as they are measured, so that a run that is stopped has told what it knew."""
    ratios = "".join(f"{row[what] / own[what]:>8.2f}" for what in ("epoch", "evaluation"))
    print(
        f"{name:<26}{row['epoch']:>9.2f}{row['evaluation']:>12.2f}{row['peak']:>9.0f}{ratios}",
        flush=True,
    )


def quality_table(networks: list[str], domain: Path, exported: Path, python: str, seeds: int) -> None:
    print(f"{'test NDCG@10, Recall@10':<26}{'NDCG@10':>20}{'Recall@10':>20}{'seeds':>7}")
    for network in networks:
        budget = {"epochs": EPOCHS, "patience": PATIENCE, "rate": RATE, "dropout": DROPOUT[network]}
        job = {"network": network, "data": str(exported), **budget}
        theirs = [peer("recbole", python, **job, seed=seed) for seed in range(seeds)]
        rows = {"ours": [trained(network, domain, seed) for seed in range(seeds)], "recbole": theirs}
        for name, found in rows.items():
            values = [one for one in found if one is not None]
            cells = [spread([one[metric] for one in values]) for metric in ("ndcg@10", "recall@10")]
            print(f"{f'{network}, {name}':<26}{cells[0]:>20}{cells[1]:>20}{len(values):>7}", flush=True)


def spread(values: list[float]) -> str:
    """Mean and sample deviation."""
    if len(values) < 2:
        return "".join(f"{value:.4f}" for value in values)
    return f"{mean(values):.4f} ± {stdev(values):.4f}"


def main() -> None:
    arguments = options_of(
        __doc__,
        ours,
        domain={"type": Path, "help": "domain folder; default: noise"},
        networks={"nargs": "+", "choices": NETWORKS, "default": list(NETWORKS)},
        quality={
            "type": int,
            "default": 0,
            "metavar": "SEEDS",
            "help": "compare rankings instead",
        },
        **{name: {"metavar": "PYTHON", "help": f"the python of {name}'s environment"} for name in PEERS},
    )
    peers = {name: python for name in PEERS if (python := getattr(arguments, name))}
    with tempfile.TemporaryDirectory() as folder:
        domain = arguments.domain
        if domain is None:
            write_data(Path(folder))
            domain = Path(folder) / "shaped"
        domain = domain.resolve()
        exported = Path(folder) / "sequences.npz"
        export(Domain.open(domain), exported)
        print(machine())
        if arguments.quality:
            if "recbole" not in peers:
                sys.exit("--quality: name RecBole's python with --recbole")
            quality_table(arguments.networks, domain, exported, peers["recbole"], arguments.quality)
        else:
            speed_table(arguments.networks, domain, exported, peers)


if __name__ == "__main__":
    main()
