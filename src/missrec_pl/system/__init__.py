"""Processes, precision, compilation, and files that appear whole. Knows nothing of recommendation."""
