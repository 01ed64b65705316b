"""Training and picking jobs of the labelling page."""
