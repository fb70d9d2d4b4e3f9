"""The annotation store on disk: what was done, by whom, and what came of it."""
