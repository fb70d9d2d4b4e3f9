import csv
import hashlib
import subprocess
import sys

import numpy as np
import pytest
import tifffile
import zarr
from imagecodecs import jpeg8_decode
from scipy import ndimage

from napari_segmoe.data.ome_zarr import read_label_image, read_multiscales
from napari_segmoe.data.slide_writing_tiles import SlideFormat, TileCodec
from napari_segmoe.data.synthetic_slide import (
    synthesise_slide,
    truth_paths,
    write_synthetic_slide,
)
from napari_segmoe.data.synthetic_slide_block import TissueKind, TissuePainter
from napari_segmoe.data.synthetic_slide_plan import GLASS_BLOCK, plan_slide
from napari_segmoe.errors import SlideError


@pytest.fixture(scope="module")
def levels(synthetic_slide):
    with tifffile.TiffFile(synthetic_slide.path) as tiff:
        return [level.asarray() for level in tiff.series[0].levels]


@pytest.fixture(scope="module")
def ids(synthetic_slide):
    return zarr.open_group(synthetic_slide.truth_path, mode="r")["0"][:]


@pytest.fixture(scope="module")
def table(synthetic_slide):
    with synthetic_slide.table_path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def painter():
    return TissuePainter(3, size=1024, spacing_um=0.5)


def digest(slide):
    files = []
    for path in (slide.path, slide.truth_path, slide.table_path):
        found = (p for p in (path, *path.rglob("*")) if p.is_file())
        files += [hashlib.sha256(p.read_bytes()).hexdigest() for p in sorted(found)]
    return files


@pytest.mark.parametrize("ending", [".ome.tif", ".ome.zarr"])
def test_the_same_seed_gives_the_same_bytes(tmp_path, ending):
    digests = [
        digest(write_synthetic_slide(tmp_path / f"{run}/a{ending}", (700, 900), seed=s))
        for run, s in enumerate((5, 5, 6))
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]


def test_sizes_levels_and_spacing_are_those_asked_for(synthetic_slide, levels):
    assert synthetic_slide.shape == levels[0].shape[:2] == (3000, 4000)
    assert [level.shape[:2] for level in levels[1:]] == [
        (1500, 2000), (750, 1000), (375, 500),
    ]  # fmt: skip
    with tifffile.TiffFile(synthetic_slide.path) as tiff:
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
    assert synthetic_slide.levels == 4
    assert synthetic_slide.path.stat().st_size > synthetic_slide.size_bytes


def test_each_level_is_the_mean_of_the_finest(levels):
    codec = TileCodec(SlideFormat.OME_TIFF)
    finest = levels[0].astype(np.float32)
    for number, level in enumerate(levels[1:], start=1):
        step = 2**number
        height, width = level.shape[:2]
        blocks = finest[: height * step, : width * step]
        means = blocks.reshape(height, step, width, step, 3).mean((1, 3))
        difference = level - means
        packed = means[: height // 16 * 16, : width // 16 * 16].round().astype(np.uint8)
        jpeg = np.abs(jpeg8_decode(codec.encode(packed)).astype(int) - packed).mean()
        assert np.abs(difference).mean() < 1.3 * jpeg + 0.3
        assert abs(difference.mean()) < 0.5  # no shift in colour
        moved = np.abs(level[1:] - means[:-1]).mean()
        assert moved > 2 * np.abs(difference).mean()  # nor in place


def test_every_gland_has_one_id_one_line_and_one_class(synthetic_slide, ids, table):
    numbers = [int(row["id"]) for row in table]
    assert numbers == list(range(1, len(table) + 1))
    assert set(np.unique(ids)) == {0, *numbers}
    classes = [row["class"] for row in table]
    assert classes.count("benign") == synthetic_slide.benign > 0
    assert classes.count("malignant") == synthetic_slide.malignant > 0
    meaning = read_label_image(zarr.open_group(synthetic_slide.truth_path, mode="r"))
    assert [meaning.properties[n]["class"] for n in numbers] == classes
    assert len({meaning.colours[n] for n in numbers}) == 2


def test_every_gland_is_one_piece(ids):
    for number, box in enumerate(ndimage.find_objects(ids), start=1):
        pieces, count = ndimage.label(ids[box] == number)
        sizes = np.bincount(pieces.ravel())[1:]
        assert sizes.max() >= 0.99 * sizes.sum(), (number, count)


def test_boxes_centres_and_areas_are_those_of_the_ids(ids, table):
    for row, box in zip(table, ndimage.find_objects(ids), strict=True):
        assert [int(row[k]) for k in ("y0", "x0", "y1", "x1")] == [
            2 * box[0].start, 2 * box[1].start, 2 * box[0].stop, 2 * box[1].stop,
        ]  # fmt: skip
        ys, xs = np.nonzero(ids[box] == int(row["id"]))
        assert float(row["area_um2"]) == len(ys)  # 1 um per pixel
        centre = 2 * (ys.mean() + box[0].start) + 0.5
        assert float(row["centre_y"]) == pytest.approx(centre, abs=0.01)
        assert float(row["centre_x"]) == pytest.approx(
            2 * (xs.mean() + box[1].start) + 0.5, abs=0.01
        )


def test_the_truth_states_its_pixel_size(synthetic_slide):
    root = zarr.open_group(synthetic_slide.truth_path, mode="r")
    assert read_multiscales(root).spacing_um == (1.0, 1.0)
    assert root["0"].dtype == np.uint32
    assert root["0"].shape == (1500, 2000)


def test_glands_have_the_size_of_glands(table):
    across = [2 * (float(row["area_um2"]) / np.pi) ** 0.5 for row in table]
    assert 60 < np.median(across) < 150
    assert max(across) < 320
    assert min(across) > 35


def test_no_gland_is_cut_by_the_border(table):
    for row in table:
        assert int(row["y0"]) > 0
        assert int(row["x0"]) > 0
        assert int(row["y1"]) < 3000
        assert int(row["x1"]) < 4000


def test_the_walls_of_the_truth_are_where_the_picture_has_them(levels, ids):
    red = levels[1][..., 0].astype(float)  # 1 um per pixel; nuclei absorb red
    wall = (ndimage.distance_transform_edt(ids > 0) < 11) & (ids > 0)
    outside = ndimage.distance_transform_edt(ids == 0)
    around = (outside > 1) & (outside < 8)

    def contrast(dy, dx):
        moved = np.roll(red, (dy, dx), (0, 1))
        return moved[around].mean() - moved[wall].mean()

    here = contrast(0, 0)
    assert here > 15
    moves = [(-3, 0), (3, 0), (0, -3), (0, 3)]
    assert all(contrast(*move) < here for move in moves)


def test_lumina_are_pale_and_glands_are_inside_tissue(levels, ids, table):
    picture = levels[1].astype(float)
    pale = picture.min(-1) > 205
    depth = ndimage.distance_transform_edt(ids > 0)
    assert pale[depth > 38].mean() > 0.6
    assert pale[(depth > 0) & (depth < 12)].mean() < 0.05
    rim = ndimage.binary_dilation(ids > 0, iterations=4) & (ids == 0)
    glass = np.abs(picture - (243, 241, 244)).max(-1) < 3
    assert glass[rim].mean() < 0.02
    assert glass[0].mean() > 0.9
    assert len(table) == ids.max()


def test_malignant_glands_are_darker_and_rougher(levels, ids, table):
    picture = levels[1].astype(float)
    kind = np.array(["", *(row["class"] for row in table)])[ids]
    depth = ndimage.distance_transform_edt(ids > 0)
    ring = (depth > 14) & (depth < 24)
    means = {k: picture[ring & (kind == k)].mean() for k in ("benign", "malignant")}
    assert means["malignant"] < means["benign"] - 10


def test_the_tissue_has_about_the_share_asked_for(tmp_path, synthetic_slide, levels):
    grey = np.abs(levels[2].astype(float) - (243, 241, 244)).max(-1) > 12
    assert ndimage.binary_closing(grey, iterations=4).mean() == pytest.approx(
        synthetic_slide.tissue_share, abs=0.08
    )
    assert synthetic_slide.tissue_share == pytest.approx(0.5, abs=0.1)
    little = write_synthetic_slide(tmp_path / "a.ome.tif", (900, 900), tissue_share=0.2)
    assert little.tissue_share == pytest.approx(0.2, abs=0.12)


def test_nuclei_have_the_size_and_number_of_nuclei(painter):
    block = painter.paint(TissueKind.BENIGN, 0)
    per_mm2 = len(block.nuclei_um) / (1024 * 0.5e-3) ** 2
    assert 3000 < per_mm2 < 14_000
    dark = block.pixels[..., 0] < 125
    pieces, count = ndimage.label(ndimage.binary_opening(dark, iterations=2))
    across = 2 * np.sqrt(np.bincount(pieces.ravel())[1:] * 0.25 / np.pi)
    assert count > 300
    assert 4 < np.median(across) < 10
    ys, xs = np.clip((block.nuclei_um / 0.5).astype(int), 0, 1023).T
    assert block.pixels[ys, xs, 0].mean() < block.pixels[..., 0].mean() - 50


@pytest.mark.parametrize("other", list(TissueKind))
def test_blocks_join_without_a_seam(painter, other):
    first = painter.paint(TissueKind.BENIGN, 1).pixels.astype(float)
    second = painter.paint(other, 2).pixels.astype(float)
    for one, two in ((first, second), (first.swapaxes(0, 1), second.swapaxes(0, 1))):
        for edge in (0, -1):  # the same but for the camera's noise
            assert np.abs(one[edge] - two[edge]).mean() < 2.5
        assert np.abs(one[512] - two[512]).mean() > 15
        steps = np.abs(np.diff(np.concatenate([one, two]), axis=0)).mean((1, 2))
        assert steps[1023] < 1.25 * steps[1004:1043].mean()


@pytest.mark.parametrize(("spacing_um", "step"), [(0.25, 4), (1.0, 1), (2.0, 1)])
def test_sizes_in_micrometres_hold_at_every_spacing(tmp_path, spacing_um, step):
    side = round(700 / spacing_um)
    slide = write_synthetic_slide(
        tmp_path / "a.ome.tif", (side, side), spacing_um=spacing_um, tissue_share=0.8
    )
    root = zarr.open_group(slide.truth_path, mode="r")
    assert root["0"].shape == (side // step, side // step)
    with slide.table_path.open(newline="") as file:
        areas = [float(row["area_um2"]) for row in csv.DictReader(file)]
    assert len(areas) >= 3
    across = 2 * np.sqrt(np.median(areas) / np.pi)
    assert 50 < across < 150


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"shape": (0, 900)}, "both sides"),
        ({"shape": (900, -5)}, "both sides"),
        ({"shape": (900, 10**7)}, "both sides"),
        ({"spacing_um": 0.0}, "pixel size"),
        ({"spacing_um": 50.0}, "pixel size"),
        ({"spacing_um": float("nan")}, "pixel size"),
        ({"tissue_share": 0.0}, "tissue share"),
        ({"tissue_share": 1.5}, "tissue share"),
        ({"seed": -1}, "seed"),
    ],
)
def test_absurd_values_give_a_sentence_and_no_file(tmp_path, options, words):
    with pytest.raises(SlideError, match=words):
        write_synthetic_slide(
            tmp_path / "a.ome.tif", **({"shape": (900, 900)} | options)
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("index", [0, 1])
def test_truth_that_exists_is_not_overwritten(tmp_path, index):
    path = tmp_path / "a.ome.tif"
    there = truth_paths(path)[index]
    there.mkdir()
    with pytest.raises(SlideError, match="exists already"):
        write_synthetic_slide(path, (700, 700))
    assert list(tmp_path.iterdir()) == [there]


def test_cancelling_leaves_nothing_behind(tmp_path):
    job = synthesise_slide(tmp_path / "a.ome.tif", (700, 1500))
    step = next(job)
    assert 0 < step.done < step.total
    job.close()
    assert list(tmp_path.iterdir()) == []


def test_a_disk_without_room_is_told_of_before_writing(tmp_path, monkeypatch):
    from napari_segmoe.data import synthetic_slide

    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr(synthetic_slide.shutil, "disk_usage", lambda _folder: usage)
    with pytest.raises(SlideError, match="make room"):
        write_synthetic_slide(tmp_path / "a.ome.tif", (700, 700))
    assert list(tmp_path.iterdir()) == []


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
# the peak of getrusage would count the memory of the process that forked
_MEASURE = """
import re, sys
from pathlib import Path
from napari_segmoe.data.synthetic_slide import write_synthetic_slide
height, width = int(sys.argv[2]), int(sys.argv[3])
write_synthetic_slide(sys.argv[1], (height, width), tissue_share=float(sys.argv[4]))
status = Path("/proc/self/status").read_text()
print(int(re.search(r"VmHWM:\\s+(\\d+)", status)[1]) // 1024)
"""


def peak_mib(path, height, width, tissue):
    command = [sys.executable, "-c", _MEASURE, path, height, width, tissue]
    run = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=True
    )
    return int(run.stdout)


@on_linux
def test_memory_does_not_grow_with_the_slide(tmp_path):
    small = peak_mib(tmp_path / "a.ome.tif", 4096, 4096, 0.1)
    large = peak_mib(tmp_path / "b.ome.tif", 30_000, 20_000, 0.02)
    assert large < small + 120
    assert large < 600


@pytest.mark.slow
@on_linux
def test_memory_is_bounded_with_much_tissue(tmp_path):
    assert peak_mib(tmp_path / "a.ome.tif", 30_000, 20_000, 0.5) < 600


def test_blocks_that_are_not_cut_are_all_tissue_or_all_glass():
    plan = plan_slide(
        (40_000, 30_000), spacing_um=0.5, seed=1, tissue_share=0.5, tile_px=256
    )
    for row, column in np.argwhere(~plan.is_cut):
        tissue = plan.tissue_in_block(row, column, 512)
        if plan.choice[row, column] == GLASS_BLOCK:
            assert tissue.max() < -20
        else:
            assert tissue.min() > 20
    assert 0.05 < plan.is_cut.mean() < 0.5
    assert len(plan.library) < 40
