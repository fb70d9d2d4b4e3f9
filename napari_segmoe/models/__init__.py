"""Networks, prompt stem, region head, weights and their cards.

Importing this package loads no torch; `registry.create_model` imports the
architectures on first use.
"""
