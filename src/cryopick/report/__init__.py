"""What a run looks like: curves, pictures, and the page that the demo writes.

matplotlib and Pillow load when something is drawn.

- `training`, `curves`: how a training went, and what picks are worth.
- `pictures`: micrographs with marks and scores.
- `demo`, `findings`: the demo's page, and what it tells.
- `drawing`, `markup`: how all plots look, and the pieces of a page.
"""
