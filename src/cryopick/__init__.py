"""Find protein particles in cryo-EM micrographs from a handful of labels."""
