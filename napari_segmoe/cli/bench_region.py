"""What the automatic mode costs on a region of a slide, measured by a child process."""

import sys
import tempfile
from pathlib import Path
from typing import Any

from napari_segmoe.cli.bench import Measurement, SlideBenchOptions
from napari_segmoe.cli.bench_child import ask_child
from napari_segmoe.data.synthetic_slide import write_synthetic_slide

_MODULE = "napari_segmoe.cli.region_figures"
_SECONDS = 900
_SIDE_PX, _QUICK_SIDE_PX = 4096, 1024  # level-0 pixels, 0.5 um
_TISSUE_SHARE = 0.9
_RATIO_BOUND = {"cpu": 1.15}
_GPU_BOUND = 1.10
_MEMORY_BOUND = 1.0


def measure_region(
    device: str, threads: int | None, options: SlideBenchOptions
) -> list[Measurement]:
    """Segment a made-up slide in a fresh process, beside bare reading and networks.

    Parameters
    ----------
    device : str
        auto, cpu, cuda:N or mps.
    threads : int, optional
        CPU threads of the network.
    options : SlideBenchOptions
        ``slide`` is taken whole.

    Returns
    -------
    list of Measurement
        What could not be measured has no value, and the note says why.
    """
    words = ["--device", device]
    words += [] if threads is None else ["--threads", str(threads)]
    words += ["--rounds", "1"] if options.is_quick else []
    with tempfile.TemporaryDirectory() as folder:
        path = options.slide
        if path is None:
            side = _QUICK_SIDE_PX if options.is_quick else _SIDE_PX
            path = Path(folder) / "slide.ome.tif"
            write_synthetic_slide(path, (side, side), tissue_share=_TISSUE_SHARE)
        found = ask_child(
            [sys.executable, "-m", _MODULE, str(path), *words], seconds=_SECONDS
        )
    return _rows(found, _RATIO_BOUND.get(device, _GPU_BOUND))


def _rows(found: dict[str, Any], bound: float) -> list[Measurement]:
    if "reason" in found:
        speed = size = str(found["reason"])
        memory = None
    else:
        speed = (
            f"{found['name']}, {found['threads']} threads, {found['precision']}:"
            f" {found['windows']} windows, {found['empty_windows']} of them empty;"
            f" reading {found['read_s']:.2f} s, network {found['forward_s']:.2f} s,"
            f" in all {found['total_s']:.2f} s; of processor time"
            f" {found['read_cpu_s']:.2f}, {found['forward_cpu_s']:.2f} and"
            f" {found['total_cpu_s']:.2f} s; {found['objects']} objects"
        )
        size = f"{found['memory_mib']:.0f} MiB, estimated {found['estimate_mib']:.0f}"
        memory = found["memory_mib"] / found["estimate_mib"]
    return [
        Measurement(
            "region: total / max(forward only, read only)",
            found.get("ratio"),
            bound,
            "ratio",
            note=speed,
        ),
        Measurement(
            "region: memory / its estimate", memory, _MEMORY_BOUND, "ratio", note=size
        ),
    ]
