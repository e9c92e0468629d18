"""Building blocks of networks: attention, Transformer blocks, adapters, fusion, dropout."""
