"""The scripts of this folder run in the environments of other programs, and are not tests."""

collect_ignore_glob = ["*.py"]
