"""The composition root: from a config to a trained, tested and recorded run."""
