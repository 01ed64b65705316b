"""Pick particles on raw micrographs: non-maximum suppression, picker, batches."""
