"""Read detectors trained by Topaz."""
