"""Train one phase: `python train.py phase=finetune data=groceries setting=inductive` (`--help` lists all)."""

from missrec_pl.train import run

if __name__ == "__main__":
    run()
