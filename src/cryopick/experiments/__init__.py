"""Compare training methods over many runs with paired statistics."""
