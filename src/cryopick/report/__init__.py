"""What a run looks like: curves, pictures, and the page that the demo writes.

matplotlib and Pillow load when something is drawn.

- `training`, `curves`: how a training went, and what picks are worth.
- `drawing`: how all plots look.
"""
