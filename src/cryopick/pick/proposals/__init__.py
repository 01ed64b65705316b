"""Pick without a model, by blob detection or template matching."""
