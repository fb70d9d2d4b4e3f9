"""Slides: files with a pyramid of resolutions, read a piece at a time."""
