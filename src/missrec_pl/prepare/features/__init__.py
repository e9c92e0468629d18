"""From what is known of items to features: in chunks of rows, resumable, in one process or several."""
