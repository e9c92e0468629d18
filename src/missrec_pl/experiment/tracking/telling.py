"""The loggers of a run: made, told what the run is, and told what came of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from lightning.pytorch.loggers import Logger
from omegaconf import DictConfig

from missrec_pl.checkpoints.reading import Checkpoint
from missrec_pl.experiment.building import build_parts
from missrec_pl.loggers import Continuable
from missrec_pl.loggers.facts import Follower, Outcome, RunFacts
from missrec_pl.system.launched import is_first_process

log = logging.getLogger(__name__)


def build_loggers(cfg: DictConfig, facts: RunFacts, resumed: Checkpoint | None = None) -> list[Logger]:
    """The loggers that are not switched off, told what the run is.

    Args:
        cfg: the config.
        facts: of the run.
        resumed: what the run is continued from: the loggers go on there.
    """
    made: list[Logger] = build_parts(cfg, "logger")
    for logger in made:
        if resumed is not None and isinstance(logger, Continuable):
            logger.continue_from(resumed.logged_steps)
        if isinstance(logger, Follower):
            logger.begin(facts)
        else:  # somebody else's
            logger.log_hyperparams(dict(facts.config))
    return made


@contextmanager
def followed(loggers: Sequence[Logger]) -> Iterator[None]:
    """Tell the loggers where what runs inside fails; the error goes on."""
    try:
        yield
    except BaseException as error:
        for logger in loggers:
            if isinstance(logger, Follower) and is_first_process():
                with _harmless(logger):
                    logger.fail(error)
        raise


def tell(loggers: Sequence[Logger], outcome: Outcome) -> None:
    """Tell the loggers what came of the run; where one of them fails, the results stay what they are."""
    for logger in loggers:
        with _harmless(logger):
            if isinstance(logger, Follower):
                logger.finish(outcome)
            else:
                logger.log_metrics(dict(outcome.scalars))
                logger.finalize("success")


@contextmanager
def _harmless(logger: Logger) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # a server's or a disk's trouble: the run is done
        reason = (str(error).splitlines() or [""])[0][:200]
        log.warning("%s: %s (%s); results.json is complete", type(logger).__name__, type(error).__name__, reason)
