"""Building blocks of networks: attention, adapters, fusion, dropout."""
