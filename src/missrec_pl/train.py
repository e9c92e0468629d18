"""Train one phase: `missrec-train phase=finetune data=groceries setting=inductive` (`--help` lists all)."""

import hydra
from omegaconf import DictConfig

from missrec_pl.config.places import config_folder
from missrec_pl.experiment.cli import launch
from missrec_pl.experiment.sweep import job


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Run the phase and return the metric that sweeps optimise."""
    with job():
        from missrec_pl.experiment.train import train  # here, so that --help does not wait for torch

        score: float | None = train(cfg)["metrics"].get(cfg.optimized_metric)
        return score


def run() -> None:
    """Run the command."""
    launch(main)


if __name__ == "__main__":
    run()
