"""Fixtures that every room's tests share."""

import os
import tempfile
from pathlib import Path

# napari reads this when it is first imported: tests must not touch a user's settings.
os.environ["NAPARI_CONFIG"] = str(
    Path(tempfile.mkdtemp(prefix="segmoe-napari-")) / "settings.yaml"
)

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture
def rng() -> np.random.Generator:
    """A seeded source of random numbers, the same for every test."""
    return np.random.default_rng(20250)


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real data sets: SEGMOE_DATA, else ../shared/data."""
    default = REPOSITORY.parent / "shared" / "data"
    root = Path(os.environ.get("SEGMOE_DATA", default))
    if root.is_dir():
        return root
    sentence = f"No data folder at {root}; set SEGMOE_DATA to the folder that holds it."
    if os.environ.get("CI"):
        pytest.fail(sentence)
    pytest.skip(sentence)


def _data_set(root: Path, name: str) -> Path:
    folder = root / name
    assert folder.is_dir(), f"{root} has no data set {name!r}."
    return folder


@pytest.fixture(scope="session")
def busi(data_root: Path) -> Path:
    """The breast-ultrasound data folder."""
    return _data_set(data_root, "busi")


@pytest.fixture(scope="session")
def dicom_samples(data_root: Path) -> Path:
    """The folder of ultrasound DICOM files."""
    return _data_set(data_root, "dicom_us_samples")
