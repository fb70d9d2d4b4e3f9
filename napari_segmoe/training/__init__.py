"""Losses, metrics, loops, evaluation."""
