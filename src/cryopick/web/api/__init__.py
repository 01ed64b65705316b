"""HTTP routes, access control and event stream of the labelling page."""
