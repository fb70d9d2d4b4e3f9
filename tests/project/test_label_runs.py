import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_segmoe.errors import ProjectError
from napari_segmoe.project.label_runs import decode_runs, encode_runs

LABELS = arrays(
    np.uint32,
    st.tuples(st.integers(1, 40), st.integers(1, 40)),
    elements=st.sampled_from([0, 0, 0, 1, 2, 2**32 - 1]),
)


@given(LABELS)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(labels):
    np.testing.assert_array_equal(decode_runs(encode_runs(labels)), labels)


def test_a_large_object_takes_little_room():
    labels = np.zeros((1024, 1024), np.uint32)
    labels[100:900, 100:900] = 7
    assert len(encode_runs(labels)) < 4000


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:10],
        lambda data: data[:-3],
        lambda data: b"XXXX" + data[4:],
        lambda data: data[:4] + b"\xff" * 8 + data[12:],
        lambda data: data[:12] + b"\x01\x00\x00\x00" + data[16:],
    ],
)
def test_damaged_bytes_are_said(spoil):
    labels = np.arange(64, dtype=np.uint32).reshape(8, 8) // 5
    with pytest.raises(ProjectError, match="damaged"):
        decode_runs(spoil(encode_runs(labels)))
