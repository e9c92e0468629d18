"""One fine-tuning step over 446,975 items: the exact softmax in chunks beside sampled candidates.

    python benchmarks/candidates.py --cache DIR
    python benchmarks/candidates.py --cache DIR --batch 2048 --negatives 8192 65536

The generated data of the paper's size (0.85 GB below DIR, made on first use), float16 features in memory, batches
of 512, `missrec_released`. CPU seconds of one thread, mean of the steps after the first; `extra MB` is the peak
above what the process held before the steps, `loader` what the batch took to build. The loss is that of the first
step, with the same weights and rows everywhere; each method runs in a process of its own.
"""

import json
from typing import Any

from scene import Scene, cpu_seconds, forget_peak, generated_data, in_a_process, machine, status_mb

FIXED = (
    "phase=finetune",
    "data=paper_size",
    "callbacks=no_validation",
    "test=false",
    "features=host",
    "features.dtype=float16",
    "model.dropout=0",
    "interest.num_prototypes=0.002",  # 5 % would take minutes to assign, and change nothing here
)


def measure(job: dict[str, Any]) -> dict[str, Any]:
    scene = Scene(*FIXED, *job["overrides"])
    scene.module.train()
    optimizer = scene.module.configure_optimizers()
    loader = iter(scene.datamodule.train_dataloader())
    batches: list[Any] = [next(loader)]  # shuffles the epoch
    loading = cpu_seconds(lambda: batches.extend(next(loader) for _ in range(job["steps"]))) / job["steps"]
    attached = [scene.on_device(batch) for batch in batches]
    forget_peak()
    before = status_mb("VmRSS")
    losses = [float(scene.learn(attached[0], optimizer))]
    seconds = cpu_seconds(lambda: losses.extend(float(scene.learn(one, optimizer)) for one in attached[1:]))
    chosen = batches[0].candidates
    return {
        "table": len(attached[0].items.ids) - 1,
        "candidates": scene.datamodule.catalogue.num_items if chosen is None else len(chosen.rows),
        "loader": loading,
        "seconds": seconds / job["steps"],
        "extra": status_mb("VmHWM") - before,
        "loss": losses[0],
    }


def main() -> None:
    negatives = {"type": int, "nargs": "+", "default": [1024, 8192, 65536]}
    sampled_only = {"action": "store_true", "help": "leave the exact softmax out (minutes)"}
    options, base = generated_data(__doc__, measure, 512, 3, negatives=negatives, sampled_only=sampled_only)
    print(machine())
    print(
        f"{'candidates of ' + str(options.batch) + ' rows':<22}{'compared':>10}{'embedded':>10}{'loader s':>10}",
        end="",
    )
    print(f"{'step s':>9}{'extra MB':>10}{'loss':>8}", flush=True)
    rows = []
    methods = {} if options.sampled_only else {"all": ["data.candidates=all"]}
    for n in options.negatives:
        methods[f"sampled, {n:,}"] = ["data.candidates=sampled", f"data.num_negatives={n}"]
    for name, own in methods.items():
        row = in_a_process(__file__, overrides=base + own, steps=options.steps)
        print(f"{name:<22}{row['candidates']:>10,}{row['table']:>10,}{row['loader']:>10.3f}", end="")
        print(f"{row['seconds']:>9.2f}{row['extra']:>10,.0f}{row['loss']:>8.3f}", flush=True)
        rows.append({"name": name, **row})
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))


if __name__ == "__main__":
    main()
