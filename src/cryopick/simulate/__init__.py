"""Simulate molecules and micrographs with known particles."""
