"""From texts and pictures to features: by rows, resumable, in one process or several."""
