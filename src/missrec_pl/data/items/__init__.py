"""The items of a run under global ids, and their features."""
