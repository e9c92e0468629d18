"""Building blocks of networks: attention, Transformer blocks, modalities, dropout."""
