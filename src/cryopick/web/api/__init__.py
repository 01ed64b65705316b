"""HTTP routes and access control of the labelling page."""
