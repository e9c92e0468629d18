"""Train one phase: `python train.py phase=finetune data=groceries setting=inductive` (`--help` lists all)."""

import hydra
from omegaconf import DictConfig

from missrec_pl.experiment.cli import launch
from missrec_pl.experiment.sweep import job


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Run the phase and return the metric that sweeps optimise."""
    with job():
        from missrec_pl.experiment.train import train  # here, so that --help does not wait for torch

        return train(cfg)["metrics"].get(cfg.optimized_metric)


if __name__ == "__main__":
    launch(main)
