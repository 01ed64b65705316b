"""From raw micrographs to picks: non-maximum suppression, picker, batches."""
