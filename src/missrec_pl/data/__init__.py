"""On-disk formats, catalogue, splits, batches and samplers. Knows no Lightning."""
