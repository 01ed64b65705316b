"""Evaluate pick tables: matching, precision and recall, thresholds, set operations."""
