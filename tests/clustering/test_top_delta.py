"""The densest token has no denser one: what stands for its delta."""

import numpy as np
import pytest
import torch
from clustering_oracle import GENERIC, plain_dpc_knn, problems, run
from hypothesis import given, settings
from runs import composed

from missrec_pl.clustering import dpc_knn
from missrec_pl.clustering.methods import DPCKNN

# On a line, the three in the middle are the densest; the ends are 12 apart, the middle one is 7 from one of them.
LINE = torch.tensor([[0.0], [4.9], [5.0], [5.2], [12.0]])


@pytest.mark.parametrize(("top_delta", "delta"), [("largest", 12.0), ("own", 7.0)])
@pytest.mark.parametrize("backend", ["dense", "tiled"])
def test_by_hand(backend, top_delta, delta):
    found = dpc_knn(LINE, 2, 2, backend=backend, top_delta=top_delta)
    assert int(found.log_density.argmax()) == 2
    assert found.delta[2] == pytest.approx(delta)
    assert found.delta.tolist()[:2] == pytest.approx([4.9, 0.1])
    by_method = DPCKNN(2, backend, top_delta=top_delta)(LINE, 2, seed=0)
    assert torch.equal(by_method.delta, found.delta)


@settings(max_examples=40, deadline=None)
@given(problems(kinds=GENERIC))
def test_its_own_largest_distance_changes_its_delta_alone(problem):
    tokens, num_clusters, k, include_self, scaled = problem
    largest, own = run(problem, "tiled"), run(problem, "tiled", top_delta="own")
    expected = plain_dpc_knn(tokens.numpy(), num_clusters, k, include_self, scaled)
    top = int(np.argmax(expected.log_density))
    distances = np.linalg.norm(tokens.double().numpy() - tokens[top].double().numpy(), axis=1)
    assert own.delta[top] == pytest.approx(distances.max() / (tokens.shape[1] ** 0.5 if scaled else 1), rel=1e-5)
    others = np.arange(len(tokens)) != top
    assert torch.equal(own.delta[others], largest.delta[others])
    assert torch.equal(own.log_density, largest.log_density)


def test_the_printed_network_takes_its_own_and_all_others_the_largest():
    found = {
        model: composed(f"model={model}").interest.method.top_delta for model in ("missrec", "missrec_literal")
    }
    assert found == {"missrec": "largest", "missrec_literal": "own"}
    assert composed("model=missrec_literal", "interest=none").interest.num_prototypes == 1
    changed = composed("model=missrec_literal", "interest.method.top_delta=largest").interest.method
    assert changed == composed().interest.method
