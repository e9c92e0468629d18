"""Test a checkpoint: `python eval.py ckpt=outputs/.../checkpoints/best.ckpt [data=...]`."""

from missrec_pl.eval import run

if __name__ == "__main__":
    run()
