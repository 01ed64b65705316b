"""Run whole tasks, training and picking, for every front end: command line, Python, clients."""
