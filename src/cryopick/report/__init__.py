"""What a run looks like: curves, pictures, and the pages that the demo and `report` write.

matplotlib and Pillow load when something is drawn.

- `training`, `curves`: how a training went, and what picks are worth.
- `runs`, `evidence`, `page`: a run found again, what its picks show, and its page.
- `plots`: scores, counts and places of picks.
- `pictures`: micrographs with marks and scores.
- `demo`, `findings`: the demo's page, and what it tells.
- `drawing`, `markup`, `wording`: how all plots look, the pieces of a page, its words.
"""
