"""Attention from one query a row, with its keys projected and without: `python benchmarks/attention.py`.

Forwards and backwards of 512 rows at 300 dimensions with dropout, one thread; `error` is the largest difference of
outputs and gradients, in shares of the largest value.
"""

import time
from collections.abc import Callable

import torch
from scene import machine
from torch import Tensor

from missrec_pl.nn.blocks.attention import MultiHeadAttention

ROWS, WIDTH, HEADS, REPEATS = 512, 300, 4, 5


def gradients(
    attend: Callable[[Tensor, Tensor], Tensor], inputs: list[Tensor], weights: list[Tensor]
) -> list[Tensor]:
    """Output and gradients, the same dropout for both ways."""
    torch.manual_seed(1)
    out = attend(*inputs)
    return [out.detach(), *torch.autograd.grad((out * torch.arange(WIDTH)).sum(), [*inputs, *weights])]


def measure(num_keys: int) -> str:
    torch.manual_seed(0)
    attention = MultiHeadAttention(WIDTH, HEADS, dropout=0.5)
    inputs = [torch.randn(ROWS, count, WIDTH, requires_grad=True) for count in (1, num_keys)]
    is_padding = torch.arange(num_keys) >= torch.randint(1, num_keys + 1, (ROWS, 1))
    ways = (
        lambda queries, keys: attention.attend(attention.query(queries), attention.key_value(keys), is_padding),
        lambda queries, keys: attention._attend_unprojected(queries, keys, is_padding),
    )
    seconds, found = [], []
    for way in ways:
        found.append(gradients(way, inputs, list(attention.parameters())))
        start = time.process_time()
        for _ in range(REPEATS):
            gradients(way, inputs, list(attention.parameters()))
        seconds.append((time.process_time() - start) / REPEATS)
    error = max(float((a - b).abs().max() / a.abs().max()) for a, b in zip(*found, strict=True))
    before, after = seconds
    return f"{num_keys:>4}{1e3 * before:>14.1f}{1e3 * after:>17.1f}{before / after:>8.1f}{error:>10.0e}"


def main() -> None:
    torch.set_num_threads(1)
    print(machine())
    print("keys  projected ms   unprojected ms   ratio     error")
    for num_keys in (2, 5, 10, 20, 40, 80):
        print(measure(num_keys), flush=True)


if __name__ == "__main__":
    main()
