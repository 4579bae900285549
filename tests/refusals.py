"""That a call is refused, by an error of the library and in few words."""

import pytest

import pathgraph as pg


def refused(call, error, match):
    """The call raises exactly this class (or a subclass), with these words, and no other exception below it."""
    with pytest.raises(error, match=f"(?s){match}") as caught:
        pytest.fail(f"accepted: {call()!r}")
    assert isinstance(caught.value, pg.PathgraphError)
    assert len(str(caught.value)) < 1000
