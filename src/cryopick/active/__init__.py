"""Choose what to label next: candidates and acquisition."""
