"""Domain folders joined into one, and written in the formats of other programs."""
