"""LightningDataModules."""

from missrec_pl.datamodules.domains import DomainDataModule

__all__ = ["DomainDataModule"]
