"""Finished runs: finding them, reading them, grouping them, printing them."""
