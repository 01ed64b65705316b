"""Train a network from labels and unlabelled regions: sampling, objectives, loop, validation."""
