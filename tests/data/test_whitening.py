import numpy as np
import pytest
import torch
import torch.nn.functional as F

from missrec_pl.fitting.whitening import Axes, PrincipalAxes, Whitening

RANDOM = np.random.default_rng(0)
MIXING = RANDOM.normal(size=(6, 6))
FEATURES = np.concatenate([np.zeros((1, 6)), RANDOM.normal(size=(40, 6)) @ MIXING + 5]).astype(np.float32)
PRESENT = np.arange(41) > 0
PRESENT[[4, 9]] = False
ROWS = torch.from_numpy(FEATURES[PRESENT])


def axes_of(features=FEATURES):
    return Axes(features, PRESENT)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_cosines_are_those_of_the_simple_methods(power):
    white = F.normalize(Whitening(axes_of(), power)(ROWS), dim=1)
    compared = PrincipalAxes(FEATURES, PRESENT).unit_vectors(power)
    torch.testing.assert_close(white @ white.T, compared @ compared.T, rtol=1e-4, atol=1e-5)


def test_the_full_power_leaves_no_correlation_and_no_power_only_centres():
    axes = axes_of()
    centred = ROWS - ROWS.mean(0)
    white = centred @ Whitening(axes, 1.0).matrix
    torch.testing.assert_close(white.T @ white / len(white), torch.eye(6), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(
        Whitening(axes, 0.0)(ROWS), F.normalize(centred, dim=1) * 6**0.5, rtol=1e-4, atol=1e-4
    )


def test_coordinates_are_of_size_1_whatever_the_encoder_gives():
    white = Whitening(axes_of(), 0.5)(ROWS)
    torch.testing.assert_close(white.norm(dim=1), torch.full((len(ROWS),), 6**0.5))
    scaled = 1e-3 * FEATURES + PRESENT[:, None]
    again = Whitening(axes_of(scaled), 0.5)(torch.from_numpy(scaled[PRESENT]))
    torch.testing.assert_close(again, white, rtol=1e-2, atol=1e-2)


def test_a_feature_stays_in_its_place():
    """Coordinates of uncorrelated features are rescaled, not mixed: adapters mean the same in every domain."""
    features = RANDOM.normal(size=(4000, 3)).astype(np.float32) * [1, 4, 9]
    matrix = Whitening(Axes(features, np.ones(4000, bool)), 0.5).matrix
    torch.testing.assert_close(matrix, torch.tensor([1.0, 1 / 2, 1 / 3]).diag(), rtol=0.1, atol=0.05)


def test_features_of_fewer_directions_than_coordinates():
    flat = FEATURES.copy()
    flat[:, 5] = flat[:, 0]
    white = Whitening(axes_of(flat), 1.0)(torch.from_numpy(flat[PRESENT]))
    assert white.isfinite().all()
    torch.testing.assert_close(white[:, 5], white[:, 0], rtol=1e-3, atol=1e-3)
    assert (Whitening(axes_of(flat), 0.5)(axes_of(flat).mean[None]).abs() < 1e-3).all()
