"""What the auxiliary scorers of `missrec_tuned` cost in a training step: CPU seconds of one thread, and memory.

    python benchmarks/scorers.py

Steps of 512 rows over the whole catalogue, the network with each set of terms in a process of its own, on two
generated domains: `wide` is shaped as Scientific of the paper's table 1 (see `training.py`), `dense` as a domain
of films (800 items, 800 users of 12 to 80 items), where histories are long and every pair of items has met. `peak`
is what a step needs beyond the data, the network and what the terms know.
"""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scene import Scene, cpu_seconds, forget_peak, in_a_process, machine, options_of, status_mb
from training import write_data, write_noise

SCORERS = {
    "network alone": ["scorers=none"],
    "seen items": ["scorers=seen"],
    "seen items, content": ["scorers.cooccurrence=null"],
    "seen items, co-occurrence": ["scorers.content=null"],
    "all": [],
}
ITEMS, USERS, WIDTHS = 800, 800, {"text": 384, "image": 1280}


def write_dense(folder: Path) -> None:
    """Write the domain `dense`; items and features are noise."""
    rng = np.random.default_rng(0)
    popularity = rng.dirichlet(np.full(ITEMS, 0.8))
    lengths = rng.integers(12, 80, USERS)
    lists = [(rng.choice(ITEMS, size=n, p=popularity, replace=False) + 1).tolist() for n in lengths]
    shapes = {name: (width, np.ones(ITEMS, bool)) for name, width in WIDTHS.items()}
    write_noise(folder / "dense", lists, shapes, rng)


def measure(job: dict[str, Any]) -> dict[str, float]:
    data = ("data=domain", f"data.name={job['domain']}", f"paths.data_dir={job['data']}")
    scene = Scene("model=missrec_tuned", *data, *SCORERS[job["scorers"]])
    scene.module.train()
    optimizer = scene.module.configure_optimizers()
    loader = iter(scene.datamodule.train_dataloader())
    batches = [scene.next_batch(loader) for _ in range(job["batches"])]
    scene.learn(batches[0], optimizer)
    forget_peak()
    before = status_mb("VmRSS")
    seconds = cpu_seconds(lambda: [scene.learn(batch, optimizer) for batch in batches])
    return {"step": seconds / len(batches), "peak": status_mb("VmHWM") - before}


def main() -> None:
    options = options_of(__doc__, measure, batches={"type": int, "default": 8})
    print(machine())
    print(f"{'':<10}{'CPU seconds of one thread':<30}{'step s':>8}{'times':>8}{'peak MB':>10}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        write_data(Path(folder))
        write_dense(Path(folder))
        for domain in ("shaped", "dense"):
            alone = None
            for scorers in SCORERS:
                row = in_a_process(__file__, data=folder, domain=domain, scorers=scorers, batches=options.batches)
                alone = alone or row["step"]
                name = "wide" if domain == "shaped" else domain
                print(
                    f"{name:<10}{scorers:<30}{row['step']:>8.3f}{row['step'] / alone:>8.2f}{row['peak']:>10.0f}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
