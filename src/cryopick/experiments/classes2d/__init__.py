"""Validate picks by the 2D classes of RELION."""
