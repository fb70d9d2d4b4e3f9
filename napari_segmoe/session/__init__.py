"""State and actions of one annotation session; no user interface, no napari."""
