"""Lists laid end to end."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from missrec_pl.serving.lines import Lines

lists = st.lists(st.lists(st.integers(1, 99), max_size=9), max_size=7)


@given(lists, st.integers(1, 10), st.integers(0, 7), st.integers(0, 9))
def test_they_are_the_same_lists(rows, count, start, stop):
    lines = Lines.of(rows)
    assert [line.tolist() for line in lines] == rows
    assert [line.tolist() for line in lines.cut(slice(start, stop))] == rows[start:stop]
    kept = [row for row in rows if row]
    assert [line.tolist() for line in lines.filled()] == kept
    assert lines.filled().last.tolist() == [row[-1] for row in kept]
    pairs = [(number, value) for number, row in enumerate(rows) for value in row]
    assert list(zip(lines.owner.tolist(), lines.values.tolist(), strict=True)) == pairs
    padded, length = lines.newest(count)
    assert [line[:size].tolist() for line, size in zip(padded, length, strict=True)] == [r[-count:] for r in rows]
    assert not np.where(np.arange(padded.shape[1]) < length[:, None], 0, padded).any()
