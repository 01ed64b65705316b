"""Formats of pick tables, one module per format, and exclusion regions."""
