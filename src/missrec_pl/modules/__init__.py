"""LightningModules: the two phases."""

from missrec_pl.modules.finetune import FinetuneModule
from missrec_pl.modules.pretrain import PretrainModule

__all__ = ["FinetuneModule", "PretrainModule"]
