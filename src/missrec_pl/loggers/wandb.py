"""One W&B run for one run, interrupted or not: pre-training, fine-tuning, evaluation, baselines."""

from __future__ import annotations

import json
import logging
import os
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from lightning.pytorch import loggers
from lightning.pytorch.utilities import rank_zero_only

from missrec_pl.errors import ConfigError, RunError, StoppedError
from missrec_pl.loggers.cleaning import without_paths
from missrec_pl.loggers.facts import Outcome, RunFacts
from missrec_pl.loggers.wandb_artifacts import ARTIFACTS, NOTE, Artifacts
from missrec_pl.loggers.wandb_server import address, answers, is_off
from missrec_pl.loggers.wandb_tables import bar_chart, to_wandb
from missrec_pl.system.files import whole_file

log = logging.getLogger(__name__)

_QUIET = {
    "console": "off",
    "host": "-",
    "x_disable_meta": True,
    "x_save_requirements": False,
    "disable_git": True,
    "disable_code": True,
    "finish_timeout": 300.0,
    "x_graphql_retry_max": 10,  # else W&B does not come to its own timeout where the server is gone
    "x_graphql_retry_wait_max_seconds": 15.0,
}
_EVENTS = ("failure", "end")


class WandbLogger(loggers.WandbLogger):
    """Lightning's WandbLogger, which knows what a run is, and would start a second W&B run when it is continued.

    W&B sends no console, no command line of its own, no code and no description of the machine.

    Args:
        folder: of the run, whose note says which W&B run it is; None for ``save_dir``.
        when_unreachable: where W&B's server does not answer, ``offline`` keeps the curves in the run's
            folder, ``stop`` ends the run before it trains.
        artifacts: what is kept at W&B of a finished run: ``best`` (the checkpoint, without paths), ``results``,
            ``ranks``, ``data`` (its fingerprint alone).
        alerts: when W&B sends a message: ``failure`` (NaN, a crash), ``end``.
        settings: W&B's, on top of those above.
        **options: as of :class:`lightning.pytorch.loggers.WandbLogger`; ``name``, ``group``, ``job_type``,
            ``tags`` and ``notes`` win over the run's own.

    Raises:
        ConfigError: ``stop``, and the server does not answer; a folder that cannot be written; an unknown artifact
            or event; ``log_model``, which knows nothing of paths.
    """

    def __init__(
        self,
        *,
        folder: str | None = None,
        when_unreachable: Literal["offline", "stop"] = "offline",
        artifacts: Sequence[str] = (),
        alerts: Sequence[str] = _EVENTS,
        settings: dict[str, Any] | None = None,
        **options: Any,
    ) -> None:
        if options.get("log_model"):
            raise ConfigError("logger.wandb.log_model: say logger.wandb.artifacts=[best], which leaves paths out.")
        for flag, given, known in (("artifacts", artifacts, ARTIFACTS), ("alerts", alerts, _EVENTS)):
            if isinstance(given, str) or not set(given) <= set(known):
                raise ConfigError(f"logger.wandb.{flag}={given}: a list of {', '.join(known)}.")
        if not options.get("offline") and not is_off(options.get("mode")) and not answers():
            if when_unreachable != "offline":
                raise ConfigError(
                    f"logger=wandb: {address()} does not answer: say WANDB_MODE=offline, or "
                    "logger.wandb.when_unreachable=offline."
                )
            log.warning("logger=wandb: %s does not answer, the curves stay here: wandb sync sends them", address())
            options["offline"] = True
        options = {name: value for name, value in options.items() if value is not None}  # W&B's own defaults
        super().__init__(settings={**_QUIET, **(settings or {})}, **options)
        self._wandb_init.pop("anonymous", None)  # which W&B warns of, whatever it says
        _check_folder(Path(str(self.save_dir)))
        self._folder = Path(str(folder or self.save_dir))
        self._alerts = frozenset(alerts)
        self._artifacts = Artifacts(artifacts)
        self._facts: RunFacts | None = None

    @rank_zero_only
    def log_hyperparams(self, params: dict[str, Any] | Namespace) -> None:
        """Logs options without absolute paths."""
        super().log_hyperparams(without_paths(vars(params) if isinstance(params, Namespace) else params))

    def continue_from(self, step: int) -> None:
        """Go on with the W&B run of this folder; see :class:`missrec_pl.loggers.Continuable`.

        W&B keeps what was logged after the last checkpoint, and the repeated steps beside it, with equal values.
        """
        noted = _noted(self._folder).get("id")
        if noted is None:  # an earlier version's run, which left no note
            earlier = sorted(self._folder.glob("wandb/*run-*-*"), key=lambda path: path.stat().st_mtime)
            noted = earlier[-1].name.rpartition("-")[2] if earlier else None
        if noted is not None:
            self._wandb_init |= {"id": noted, "resume": "allow"}
            self._id = noted

    @rank_zero_only
    def begin(self, facts: RunFacts) -> None:
        """Start the W&B run under the run's own names; see :class:`missrec_pl.loggers.facts.Follower`."""
        self._facts = facts
        own = {"name": facts.name, "job_type": facts.job_type, "tags": list(facts.tags), "notes": facts.notes}
        if not os.environ.get("WANDB_SWEEP_ID"):  # the sweep is the group
            own["group"] = facts.group
        for option, value in own.items():
            if self._wandb_init.get(option) is None and value:
                self._wandb_init[option] = value
        run = self.experiment
        if run.disabled:
            return
        run.define_metric("epoch")
        for name in ("val/*", facts.optimized):
            run.define_metric(name, step_metric="trainer/global_step", step_sync=True, summary="max")
        run.define_metric("test/*", step_metric="trainer/global_step", step_sync=True, summary="last")
        self.log_hyperparams(dict(facts.config))
        self._artifacts.use(run, facts)
        self._write_note(run)

    @rank_zero_only
    def finish(self, outcome: Outcome) -> None:
        """Log what came of the run, and end it; see :class:`missrec_pl.loggers.facts.Follower`."""
        run, facts = self.experiment, self._facts
        assert facts is not None, "begin() comes first"
        logged: dict[str, Any] = {}
        for name, table in outcome.tables.items():
            logged[f"tables/{name}"] = to_wandb(table)
            if table.bar:
                logged[f"charts/{name}"] = bar_chart(name, table)
        if logged:
            run.log(logged)
        run.summary.update(dict(outcome.scalars))
        self._artifacts.log(run, facts, outcome)
        self._write_note(run)
        best = outcome.scalars.get(facts.optimized.replace("val/", "test/"))
        if "end" in self._alerts:
            score = "" if best is None else f", {facts.optimized.replace('val/', 'test/')} {best:.4f}"
            run.alert(title=f"{facts.name} has ended", text=f"{facts.job_type} has ended{score}.")
        run.finish()

    @rank_zero_only
    def fail(self, error: BaseException) -> None:
        """Mark the run as stopped, which goes on, or failed; see :class:`missrec_pl.loggers.facts.Follower`."""
        run: Any = self._experiment
        if run is None or self._facts is None:
            return
        is_stopped = isinstance(error, StoppedError | KeyboardInterrupt)
        reason = without_paths(str(error).partition("\n")[0][:300]) or type(error).__name__
        by_sweep = is_stopped and bool(os.environ.get("WANDB_SWEEP_ID"))
        mark = "stopped-by-sweep" if by_sweep else "stopped" if is_stopped else "failed"
        run.tags = (*(run.tags or ()), mark)
        run.summary.update({"end": mark, "end_reason": reason})
        if "failure" in self._alerts and not is_stopped:
            is_nan = isinstance(error, RunError) and "NaN" in reason
            title = "the loss is no number any more" if is_nan else "the run has failed"
            run.alert(title=f"{self._facts.name}: {title}", text=reason, level="ERROR")
        run.finish(exit_code=0 if by_sweep else getattr(error, "exit_code", 1))

    @rank_zero_only
    def log_histogram(self, name: str, values: list[int], step: int) -> None:
        """Log how often each size occurs."""
        import wandb

        if values:
            self.experiment.log({name: wandb.Histogram(values), "trainer/global_step": step})

    def _write_note(self, run: Any) -> None:
        note = {"id": run.id, "project": run.project, "entity": run.entity, "artifacts": self._artifacts.logged}
        with whole_file(self._folder / NOTE) as part:
            part.write_text(json.dumps(note, indent=2) + "\n", encoding="utf-8")


def _noted(folder: Path) -> dict[str, Any]:
    try:
        note = json.loads((folder / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


@rank_zero_only
def _check_folder(folder: Path) -> None:
    """Refuse a folder that cannot be written: W&B would go on in a temporary one."""
    place, trial = folder / "wandb", folder / "wandb" / f".trial-{os.getpid()}"
    try:
        place.mkdir(parents=True, exist_ok=True)
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise ConfigError(
            f"logger=wandb: {place} cannot be written ({error.strerror}): choose a folder by WANDB_DIR or "
            "logger.wandb.save_dir."
        ) from error
