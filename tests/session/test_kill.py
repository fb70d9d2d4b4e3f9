"""A session that is killed loses at most the action that had not ended."""

import pytest

from tests.session.killing import kill_often

SCRIPT = "tests.session.kill_script"


def test_nothing_is_lost_when_a_session_is_killed(tmp_path):
    assert kill_often(SCRIPT, tmp_path, 8) > 16


@pytest.mark.slow
def test_nothing_is_lost_at_200_kills(tmp_path):
    assert kill_often(SCRIPT, tmp_path, 200) > 400
