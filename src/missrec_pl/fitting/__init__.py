"""Statistics fitted on the training part: pair counts, spectral item embeddings, whitened features."""
