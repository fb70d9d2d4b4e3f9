"""napari layers and the session; readers, writers and samples."""
