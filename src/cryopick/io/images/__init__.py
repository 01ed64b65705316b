"""Image formats: MRC, TIFF, PNG and JPEG."""
