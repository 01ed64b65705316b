"""Train the general model of the package on simulated fields."""
