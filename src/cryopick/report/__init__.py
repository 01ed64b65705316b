"""Reports: plots, pictures and HTML pages of runs."""
