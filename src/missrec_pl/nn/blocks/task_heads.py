"""What S3-Rec's pre-training adds to its network."""

from __future__ import annotations

from torch import nn


class TaskHeads(nn.Module):
    """What pre-training alone learns: a map for each task, and a vector for each attribute value.

    Args:
        hidden_size: width ``D``.
        num_values: attribute values; 0: their vectors are made of features.
    """

    def __init__(self, hidden_size: int, num_values: int) -> None:
        super().__init__()
        self.aap, self.mip, self.map, self.sp = (nn.Linear(hidden_size, hidden_size) for _ in range(4))
        if num_values:
            self.attribute_embedding = nn.Embedding(num_values, hidden_size)
