"""The labelling page's server: label, train, inspect, review and export in the browser.

The page (`static/`) asks; the server answers with what the command line would: the same functions
prepare, score and judge, and training runs in a child process that types the command.

- `store`: the project's database.
- `micrographs`, `marks`, `runs`: what is in it: micrographs, labels and regions, runs and picks.
- `views`: pictures of micrographs.
- `jobs`, `news`: work in child processes, and the stream that tells of it.
- `shell`: who may ask. `assets`: the page's own files.
- `routes_*`: the addresses. `server`: all of it, listening.
"""
