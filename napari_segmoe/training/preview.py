"""What the network sees: samples as they are drawn, before a run is begun."""

from pathlib import Path

from PIL import Image

from napari_segmoe.training.config import TrainingConfig
from napari_segmoe.training.draws import SampleDrawer
from napari_segmoe.training.run_data import load_run_data
from napari_segmoe.training.sample_sheet import draw_samples

_COUNT = 24


def draw_preview(config: TrainingConfig, *, count: int = _COUNT) -> Image.Image:
    """Draw the first samples of a run, augmented, with prompts and truth.

    They are those of the run's first steps, but for further clicks, which need the
    network's answers.

    Raises
    ------
    DataFolderError
        If nothing is left to train or validate on.
    """
    data = load_run_data(config)
    drawer = SampleDrawer(config, data.train)
    chosen = drawer.order(0)[:count]
    samples = [drawer.draw(0, index) for index in chosen]
    title = f"{config.model}: {len(samples)} samples of {config.input_px} px as drawn"
    return draw_samples(samples, title=title, classes=data.object_classes)


def write_preview(config: TrainingConfig, folder: Path) -> Path:
    """Write `preview.png` into a folder and return its path.

    Raises
    ------
    OSError
        If it cannot be written.
    """
    picture = draw_preview(config)
    folder.mkdir(parents=True, exist_ok=True)
    partial = folder / ".preview.partial"
    picture.save(partial, format="PNG")
    return partial.replace(folder / "preview.png")
