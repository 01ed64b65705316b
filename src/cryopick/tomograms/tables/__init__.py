"""Tables of particles in tomograms in the formats of other programs."""
