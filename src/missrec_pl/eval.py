"""Test a checkpoint: `missrec-eval ckpt=outputs/.../checkpoints/best.ckpt [data=...]`."""

import hydra
from omegaconf import DictConfig

from missrec_pl.config.places import config_folder
from missrec_pl.experiment.cli import launch
from missrec_pl.experiment.sweep import job


@hydra.main(version_base="1.3", config_path=str(config_folder()), config_name="eval")
def main(cfg: DictConfig) -> None:
    """Run the evaluation."""
    with job():
        from missrec_pl.experiment.evaluate import evaluate  # here, so that --help does not wait for torch

        evaluate(cfg)


def run() -> None:
    """Run the command."""
    launch(main)


if __name__ == "__main__":
    run()
