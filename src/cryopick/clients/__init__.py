"""Doors for other programs: a topaz-compatible command line, RELION and cryoSPARC jobs."""
