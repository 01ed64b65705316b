"""Extract particle images into stacks with a STAR file that RELION reads."""
