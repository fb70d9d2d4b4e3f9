"""Whose picture a DICOM file is: only ever to be hashed, so that splits are fair."""

import struct
import warnings
from pathlib import Path

import pydicom
from pydicom.errors import BytesLengthException, InvalidDicomError

_TAGS = ("PatientID", "IssuerOfPatientID", "PatientName")
_PREAMBLE = 132


def read_patient_key(path: Path) -> str | None:
    """Return what tells a file's patient from others, or None where nothing does.

    The answer names a person: hash it with a project's salt, and keep nothing else.

    Parameters
    ----------
    path : Path
        Any file, or the folder of a DICOM slide: its first DICOM file is asked.
    """
    file = _first_dicom(path)
    if file is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)
            dataset = pydicom.dcmread(
                file,
                stop_before_pixels=True,
                specific_tags=list(_TAGS),
                force=file.suffix.lower() == ".dcm",
            )
            found = [str(dataset.get(tag, "") or "").strip() for tag in _TAGS]
    except (
        InvalidDicomError, BytesLengthException, OSError, EOFError, ValueError,
        LookupError, AttributeError, TypeError, NotImplementedError, struct.error,
    ):  # fmt: skip
        return None
    number, issuer, name = found
    return f"{number}@{issuer}" if number else name or None


def _first_dicom(path: Path) -> Path | None:
    try:
        files = sorted(path.iterdir()) if path.is_dir() else [path]
        return next((one for one in files if _is_dicom(one)), None)
    except OSError:
        return None


def _is_dicom(path: Path) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as file:
        start = file.read(_PREAMBLE)
    return start[128:] == b"DICM" or path.suffix.lower() == ".dcm"
