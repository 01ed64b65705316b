"""Server of the labelling page: label, train, inspect, review and export in the browser.

The page (`static/`) sends requests; the server answers with the results of the same functions
that the command line uses. Training and picking run in a child process that calls the command
line.

- `project`: the project: database, micrographs, annotations, runs and picks, images.
- `jobs`: training and picking in child processes, and their progress.
- `api`: HTTP routes, access control and the event stream.
- `assets`: the files of the page. `listener`: sockets. `server`: the complete application.
"""
