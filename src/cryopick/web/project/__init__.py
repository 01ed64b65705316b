"""Data of a labelling project: micrographs, annotations, picks and images."""
