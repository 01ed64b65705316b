"""Simulation of tomograms with ground truth."""
