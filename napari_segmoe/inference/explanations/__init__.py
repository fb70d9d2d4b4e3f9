"""Why the network answered as it did: maps and tables, one module for each heading."""
