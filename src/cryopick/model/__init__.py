"""Networks, model files, calibration, device choice, and the ensemble with the general model."""
