"""Pre-training at the paper's size, for a few steps: memory, start-up, speed, waiting for data.

    python benchmarks/rehearsal.py --cache DIR                                   # memmap, 2048 rows
    python benchmarks/rehearsal.py --cache DIR --features memmap,host/float16 --batch 2048,4096 model=missrec

The data is generated on first use (0.85 GB below DIR). Each run is a process of its own and goes through the
program's own entry, phase=pretrain data=paper_size; what the options leave over is overrides for it. Exact DPC-KNN
over 541,126 tokens would take longer than all the rest, so interests are random tokens, as many as the release has
(interest=random, 2 %); embedding and assigning all tokens is measured apart as the refresh.

Start-up is from the start of the process to the first training batch, less the refresh. Waiting is for the loader
and for features to be attached to the batch; it and the speed leave out the first step. Mapped pages count as
resident while the kernel keeps them: anonymous memory is the process's own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from missrec_pl.data.synthetic.paper_size import PaperSizeDomains

LIMITS = {"rss": 4096, "start": 60, "waiting": 0.05}
FIXED = (
    "phase=pretrain",
    "data=paper_size",
    "model=missrec_released",
    "interest=random",
    "interest.num_prototypes=0.02",
    "trainer=cpu",
    "trainer.max_epochs=1",
    "callbacks=no_validation",
    "callbacks.model_checkpoint=null",
    "callbacks.epoch_lines=null",
    "callbacks.progress=null",
    "+callbacks.probe._target_=rehearsal_probe.Probe",
    "+trainer.profiler._target_=rehearsal_probe.QuietProfiler",
)


def generate(job: dict[str, Any]) -> dict[str, Any]:
    PaperSizeDomains(job["cache"], scale=job["scale"]).prepare()
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {
        "wall_s": time.time() - job["started"],
        "cpu_s": time.process_time(),
        "rss": int(status["VmHWM"].split()[0]) / 1024,
    }


def pretrain(job: dict[str, Any]) -> dict[str, Any]:
    from hydra import compose, initialize_config_dir
    from rehearsal_probe import Probe

    from missrec_pl.experiment.train import train

    Probe.started = job["started"]
    Probe.memory.start()
    with initialize_config_dir(str(Path(__file__).resolve().parents[1] / "configs"), version_base="1.3"):
        train(compose("train", overrides=job["overrides"]))
    return Probe.report


def in_a_process(**job: Any) -> dict[str, Any]:
    with tempfile.NamedTemporaryFile("r", suffix=".json") as answer:
        call = json.dumps({"started": time.time(), "answer": answer.name, **job})
        subprocess.run([sys.executable, __file__, "--child", call], check=True)
        report: dict[str, Any] = json.load(answer)
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cache", type=Path, help="folder for the generated data")
    parser.add_argument("--scale", type=float, default=1.0, help="of the paper's counts")
    parser.add_argument("--batch", default="2048", help="rows of a batch, one or more: 2048,4096")
    parser.add_argument("--steps", type=int, default=10)
    parser.add_argument("--features", default="memmap", help="one or more: memmap,host/float16,device")
    parser.add_argument("--json", type=Path, help="also write the numbers there")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options, overrides = parser.parse_known_args()
    if options.child:
        job = json.loads(options.child)
        work = {"generate": generate, "pretrain": pretrain}[job["work"]]
        Path(job["answer"]).write_text(json.dumps(work(job)))
        return
    if options.cache is None:
        parser.error("--cache: name a folder with room for 0.85 GB")
    made = in_a_process(work="generate", cache=str(options.cache), scale=options.scale)
    print("data there after {wall_s:.0f} s ({cpu_s:.0f} CPU s), at most {rss:.0f} MB".format(**made))
    reports = []
    with tempfile.TemporaryDirectory() as folder:
        for features in options.features.split(","):
            for batch in map(int, options.batch.split(",")):
                residency, _, dtype = features.partition("/")
                run = [f"features={residency}", f"features.dtype={dtype or 'float32'}", f"data.batch_size={batch}"]
                run += [f"trainer.max_steps={options.steps}", f"data.source.scale={options.scale}"]
                run += [f"paths.cache_dir={options.cache}", f"paths.output_dir={folder}"]
                report = in_a_process(work="pretrain", overrides=[*FIXED, *run, *overrides])
                reports.append({"features": features, "batch": batch, **report})
                print_report(reports[-1])
    if options.json:
        options.json.write_text(json.dumps(reports, indent=2))


def print_report(report: dict[str, Any]) -> None:
    print(
        "\n{features}, {batch} rows with {items_of_a_batch:,} items: {samples_per_s:,.0f} samples/s, "
        "{step_s:.2f} s ({step_cpu_s:.2f} CPU s) a step, loss {loss[0]} to {loss[1]}".format(**report)
    )
    print(
        f"  threads {os.environ.get('OMP_NUM_THREADS', 'default')}, interest refresh {report['refresh_s']:.0f} s"
    )
    for phase, peak in report["phases"].items():
        print(f"  {phase:8} {peak['rss']:6,.0f} MB resident, {peak['anon']:6,.0f} MB of them anonymous")
    shown = {
        "rss": f"resident memory {report['rss']:,.0f} MB",
        "start": f"start-up {report['start_s']:.0f} s",
        "waiting": f"waiting for data {report['waiting']:.1%} ({report['wait_ms']:.0f} ms a batch)",
    }
    for name, value in (("rss", report["rss"]), ("start", report["start_s"]), ("waiting", report["waiting"])):
        print(f"  {'ok' if value <= LIMITS[name] else 'MISSED':6} {shown[name]}, limit {LIMITS[name]}", flush=True)


if __name__ == "__main__":
    main()
