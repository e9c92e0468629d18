"""Fixtures of the clustering tests."""

import pytest


@pytest.fixture
def plain_types():
    """Undo runtime type checks: wrong types must meet the package's own messages, as outside the tests."""

    def undo(function):
        while hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        return function

    return undo
