"""Entry point of `segmoe` and of `python -m napari_segmoe`."""

import sys


def main() -> None:
    """Run the command line and end the process with its exit status."""
    from napari_segmoe.cli.running import run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
