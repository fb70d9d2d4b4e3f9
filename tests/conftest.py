"""Fixtures that every room's tests share."""

import os
import tempfile
from pathlib import Path

# napari reads this when it is first imported: tests must not touch a user's settings.
os.environ["NAPARI_CONFIG"] = str(
    Path(tempfile.mkdtemp(prefix="segmoe-napari-")) / "settings.yaml"
)

# labels of slides' regions are kept there
os.environ["SEGMOE_CACHE"] = tempfile.mkdtemp(prefix="segmoe-cache-")

# which projects were opened last is kept there
os.environ["SEGMOE_STATE"] = tempfile.mkdtemp(prefix="segmoe-state-")

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
def glas(data_root: Path) -> Path:
    """The data folder of glands in colon histology."""
    return _data_set(data_root, "glas")


@pytest.fixture(scope="session")
def dsb2018_he(data_root: Path) -> Path:
    """The data folder of nuclei in small H&E crops, one id each."""
    return _data_set(data_root, "dsb2018_he")


@pytest.fixture(scope="session")
def monuseg(data_root: Path) -> Path:
    """The data folder of nuclei in large H&E tiles, binary masks."""
    return _data_set(data_root, "monuseg")


@pytest.fixture(scope="session")
def dicom_samples(data_root: Path) -> Path:
    """The folder of ultrasound DICOM files."""
    return _data_set(data_root, "dicom_us_samples")


@pytest.fixture(scope="session")
def wsi_samples(data_root: Path) -> Path:
    """The folder of whole-slide files."""
    return _data_set(data_root, "wsi_samples")


@pytest.fixture(scope="session")
def synthetic_slide(tmp_path_factory: pytest.TempPathFactory):
    """A made-up H&E slide of 3000 x 4000 px at 0.5 um, OME-TIFF, with its truth."""
    from napari_segmoe.data.synthetic_slide import write_synthetic_slide

    folder = tmp_path_factory.mktemp("synthetic")
    return write_synthetic_slide(folder / "slide.ome.tif", (3000, 4000), seed=0)


class BrightnessPredictor:
    """A stand-in for a network: what is bright is an object, very bright is malignant.

    Without clicks it marks everything above 128; with them the bright component under
    the newest positive click. It counts what it is asked.
    """

    def __init__(self) -> None:
        from napari_segmoe.models.card import WeightsCard

        self.card = WeightsCard(
            name="brightness",
            model="brightness",
            classes=("benign", "malignant", "normal"),
            object_classes=("benign", "malignant"),
        )
        self.questions = 0

    def set_image(self, image, spacing_um=None, *, modality=None):
        grey = np.asarray(image, float)
        self._grey = grey.mean(-1) if grey.ndim == 3 else grey
        self._spacing_um = spacing_um

    def predict(self, clicks=(), *, previous=None, box=None):
        from scipy import ndimage

        from napari_segmoe.inference.objects import describe_object
        from napari_segmoe.types import Prediction

        self.questions += 1
        labels, count = ndimage.label(self._grey > 128)
        positive = [click for click in clicks if click.positive]
        if positive:
            newest = positive[-1]
            chosen = labels[round(newest.y), round(newest.x)]
            labels = ((labels == chosen) & (chosen > 0)).astype(int)
            count = int(labels.any())
        mask = labels > 0
        classes = self._classes(mask, with_normal=not positive)
        objects = tuple(
            describe_object(
                labels == index,
                self._spacing_um,
                object_id=index,
                probabilities=self._classes(labels == index, with_normal=False),
            )
            for index in range(1, count + 1)
        )
        return Prediction(
            mask=mask,
            probability=mask.astype(np.float32),
            labels=labels.astype(np.uint32),
            objects=objects,
            classes=classes,
        )

    def _classes(self, mask, *, with_normal):
        malignant = 0.0 if not mask.any() else float(self._grey[mask].mean() > 200)
        found = float(mask.any()) if with_normal else 1.0
        classes = {
            "benign": found * (0.9 - 0.8 * malignant),
            "malignant": found * (0.1 + 0.8 * malignant),
        }
        return classes | ({"normal": 1 - found} if with_normal else {})


@pytest.fixture
def brightness_predictor():
    """A predictor that needs no torch and is right about `bright_folder`."""
    return BrightnessPredictor()


@pytest.fixture
def bright_folder(tmp_path: Path) -> Path:
    """A data folder of six 64 px images: two benign, two malignant, two normal.

    All are in split "test" but the last of each class, which is in "train".
    """
    from PIL import Image

    folder = tmp_path / "bright"
    (folder / "images").mkdir(parents=True)
    (folder / "masks").mkdir()
    rows = ["file,class,split,group"]
    for index, (name, level) in enumerate(
        [("benign", 160), ("malignant", 250), ("normal", 0)] * 2
    ):
        stem = f"{name}_{index}"
        mask = np.zeros((64, 64), np.uint8)
        if level:
            mask[10 : 30 + index, 12:36] = 255
        pixels = np.where(mask > 0, level, 60).astype(np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{stem}.png")
        Image.fromarray(mask).save(folder / "masks" / f"{stem}.png")
        split = "train" if index >= 3 else "test"
        rows.append(f"{stem}.png,{name},{split},{stem}")
    (folder / "labels.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module", autouse=True)
def _networks_of_tests(request):
    """Let modules that use the tiny network find it, and hide it from all others."""
    names = vars(request.module)
    if not {"save_tiny", "tiny_bright"} & set(names):
        yield
        return
    from napari_segmoe.models import registry
    from tests.training.finetune.tiny import register_tiny

    register_tiny()
    yield
    registry._BUILDERS.pop("tiny_bright")
