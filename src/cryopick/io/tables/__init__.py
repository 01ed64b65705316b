"""Formats of pick tables, one module each."""
