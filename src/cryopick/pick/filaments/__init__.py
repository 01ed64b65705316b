"""Trace filaments in score maps and cut them into segments for helical reconstruction."""
