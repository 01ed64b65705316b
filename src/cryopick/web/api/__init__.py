"""HTTP routes of the labelling page."""
