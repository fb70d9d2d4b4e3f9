"""Predictor, devices, zoom, merging, objects."""
