"""Errors as a user can understand them."""

import logging

from napari_segmoe.errors import DeviceError, JobError, SegmoeError
from napari_segmoe.session.predictor import is_out_of_memory

logger = logging.getLogger(__name__)


def as_refusal(error: Exception) -> SegmoeError:
    """Return an error of a job as one sentence; what nobody foresaw is logged."""
    if isinstance(error, SegmoeError):
        return error
    if is_out_of_memory(error):
        return DeviceError(
            "The device ran out of memory. Close other programs, or choose the CPU, and"
            " try again."
        )
    logger.error("A background job failed.", exc_info=error)
    return JobError(f"The model could not answer: {error}")
