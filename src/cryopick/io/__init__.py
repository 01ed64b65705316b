"""Read micrographs and read and write pick tables."""
