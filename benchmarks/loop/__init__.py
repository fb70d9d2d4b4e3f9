"""Parts of `learning_loop.py`."""
