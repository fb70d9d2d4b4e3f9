"""The tables of RESULTS.md, a module each."""
