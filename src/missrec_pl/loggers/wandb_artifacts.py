"""What W&B keeps of a run: the best checkpoint, results, ranks, and which data it was, with the lineage of all."""

from __future__ import annotations

import hashlib
import json
import logging
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from missrec_pl.checkpoints.files import RECORD
from missrec_pl.loggers.cleaning import without_paths
from missrec_pl.loggers.facts import Outcome, RunFacts
from missrec_pl.system.files import RANKS_NAME, RESULTS_NAME

log = logging.getLogger(__name__)

ARTIFACTS = ("best", "results", "ranks", "data")
NOTE = "wandb_run.json"
"""Beside results.json: which W&B run this is, and the artifacts that it has logged."""
CHECKPOINT = "best.ckpt"
"""The file's name in an artifact."""


class Artifacts:
    """The artifacts of one run.

    Attributes:
        logged: kind -> ``entity/project/name:version``, as far as W&B has given a version; offline the name.

    Args:
        chosen: which of :data:`ARTIFACTS` are logged.
    """

    def __init__(self, chosen: Sequence[str]) -> None:
        self.chosen = tuple(chosen)
        self.logged: dict[str, str] = {}

    def use(self, run: Any, facts: RunFacts) -> None:
        """Say what the run starts from: the data, and the artifact of the checkpoint where it is known."""
        if "data" in self.chosen:
            self._log(run, "data", data_artifact(facts))
        source = source_of(facts.start)
        if source is None:
            return
        run.config.update({"ckpt_artifact": source}, allow_val_change=True)
        if run.offline or ":" not in source:
            return  # W&B draws no lineage to what has not arrived there
        try:
            run.use_artifact(source)
        except Exception as error:  # whatever the server says: the run itself needs none of it
            log.warning("logger=wandb: no lineage to %s (%s)", source, _short(error))

    def log(self, run: Any, facts: RunFacts, outcome: Outcome) -> None:
        """Log what was chosen and is there."""
        with tempfile.TemporaryDirectory() as folder:
            made = {
                "best": lambda: best_artifact(facts, outcome, Path(folder)),
                "results": lambda: results_artifact(facts, outcome, Path(folder)),
                "ranks": lambda: ranks_artifact(facts),
            }
            for kind in (one for one in self.chosen if one in made):
                if (artifact := made[kind]()) is not None:
                    self._log(run, kind, artifact, _aliases(kind, outcome))

    def _log(self, run: Any, kind: str, artifact: Any, aliases: Sequence[str] = ()) -> None:
        logged = run.log_artifact(artifact, aliases=["latest", *aliases])
        self.logged[kind] = str(artifact.name)
        if run.offline:
            return
        try:
            logged.wait(timeout=60)
            self.logged[kind] = str(logged.qualified_name)
        except Exception as error:  # it is on its way, or lost with the network
            log.warning("logger=wandb: artifact %s has not arrived yet (%s)", artifact.name, _short(error))


def best_artifact(facts: RunFacts, outcome: Outcome, folder: Path) -> Any:
    """The best checkpoint without the folders that it names; None where none was kept."""
    import wandb

    if outcome.checkpoint is None:
        return None
    content = torch.load(outcome.checkpoint, map_location="cpu", weights_only=True)
    content[RECORD] = without_paths(content[RECORD])
    content["callbacks"] = {without_paths(name): without_paths(s) for name, s in content["callbacks"].items()}
    file = folder / CHECKPOINT
    torch.save(content, file)
    metadata = {
        **{name: value for name, value in outcome.scalars.items() if name.startswith(("best/", "test/"))},
        **{name: facts.config.get(name) for name in ("phase", "data", "model", "setting", "seed")},
        "epoch": outcome.epoch,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "data_fingerprints": dict(facts.data),
    }
    artifact = wandb.Artifact(facts.name, type="model", metadata=metadata)
    artifact.add_file(str(file), name=CHECKPOINT)
    return artifact


def results_artifact(facts: RunFacts, outcome: Outcome, folder: Path) -> Any:
    """``results.json`` without paths."""
    import wandb

    file = folder / RESULTS_NAME
    file.write_text(json.dumps(outcome.results, indent=2) + "\n", encoding="utf-8")
    artifact = wandb.Artifact(f"{facts.name}-results", type="results")
    artifact.add_file(str(file), name=RESULTS_NAME)
    return artifact


def ranks_artifact(facts: RunFacts) -> Any:
    """The rank of every test user's target; None where nobody was tested."""
    import wandb

    file = facts.folder / RANKS_NAME
    if not file.is_file():
        return None
    artifact = wandb.Artifact(f"{facts.name}-ranks", type="ranks")
    artifact.add_file(str(file), name=RANKS_NAME)
    return artifact


def data_artifact(facts: RunFacts) -> Any:
    """Names and fingerprints of the domains, by reference: no byte of the data is sent."""
    import wandb

    name = "-".join(facts.data)[:100] or "data"
    artifact = wandb.Artifact(f"{name}-data", type="dataset", metadata={"fingerprints": dict(facts.data)})
    for domain, fingerprint in facts.data.items():
        artifact.add_reference(f"missrec://{domain}/{fingerprint}", name=domain, checksum=False)
    return artifact


def source_of(checkpoint: Path | None) -> str | None:
    """The artifact that a checkpoint was kept as, by the note of the run that made or fetched it."""
    for folder in () if checkpoint is None else (checkpoint.parent, checkpoint.parent.parent):
        try:
            note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
            found = note["artifacts"]["best"]
        except (OSError, ValueError, KeyError, TypeError):
            continue
        return str(found)
    return None


def _aliases(kind: str, outcome: Outcome) -> list[str]:
    if kind != "best":
        return []
    return ["best", *([] if outcome.epoch is None else [f"epoch-{outcome.epoch}"])]


def _short(error: Exception) -> str:
    return str(without_paths(str(error).partition("\n")[0][:200])) or type(error).__name__
