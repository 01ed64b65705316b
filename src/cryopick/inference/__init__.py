"""Score whole micrographs: score maps, tiling, dilation, prefetch, test-time views."""
