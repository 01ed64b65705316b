"""Prepare raw micrographs for the network: masks, Fourier crop, whitening, normalisation."""
