"""``prepare doctor``: what a source is, how it would be read, what is odd about it, and the command to use."""
