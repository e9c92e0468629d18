"""Multi-modal, interest-aware pre-training and transfer for sequential recommendation."""

__version__ = "0.1.0"
