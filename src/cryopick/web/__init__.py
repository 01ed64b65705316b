"""Server of the labelling page: label, train, inspect, review and export in the browser.

The page (`static/`) sends requests; the server answers with the results of the same functions
that the command line uses. Training and picking run in a child process that calls the command
line.

- `storage`: stored data: database, micrographs, annotations, runs and picks, images.
- `jobs`: training and picking in child processes, and their progress.
- `project`: the open project and its operations: export, import, metrics, training plan.
- `api`: HTTP routes and access control. `event_stream`: events for open pages.
- `assets`: the files of the page. `listener`: sockets. `server`: the complete application.
"""
