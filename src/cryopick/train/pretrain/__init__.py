"""Train the general model that ships, on simulated fields."""
