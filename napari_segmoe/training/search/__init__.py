"""Architecture search on mixed data sets, and what its result is worth."""
