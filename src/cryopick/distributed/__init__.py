"""Process micrographs on many machines and while they are recorded."""
