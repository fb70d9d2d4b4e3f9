"""The command line, `segmoe`. Commands import what is heavy when they run."""
