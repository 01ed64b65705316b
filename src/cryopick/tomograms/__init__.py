"""Particles in tomograms: volumes, 3D networks, training, picking, tables and simulation."""
