"""A window that is killed loses at most the stroke that had not ended."""

import pytest

from tests.session.killing import kill_often

SCRIPT = "tests.widgets.kill_window_script"


def test_nothing_is_lost_when_a_window_is_killed(tmp_path):
    assert kill_often(SCRIPT, tmp_path, 1) >= 1


@pytest.mark.slow
def test_nothing_is_lost_at_10_kills_of_a_window(tmp_path):
    assert kill_often(SCRIPT, tmp_path, 10) >= 10
