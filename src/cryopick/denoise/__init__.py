"""Denoising of micrographs by a small network, and its training."""
