"""What a run looks like: curves, pictures, and the page that the demo writes.

matplotlib and Pillow load when something is drawn.

- `curves`: the course of a training and the precision-recall curve, as files or for the page.
"""
