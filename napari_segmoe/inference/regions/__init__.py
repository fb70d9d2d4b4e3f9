"""The automatic mode on images of any size: windows on a lattice, joined to objects."""
