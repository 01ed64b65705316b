"""Stored data of a labelling project: micrographs, annotations, runs, picks and images."""
