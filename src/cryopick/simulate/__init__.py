"""Simulate molecules and micrographs with ground truth."""
