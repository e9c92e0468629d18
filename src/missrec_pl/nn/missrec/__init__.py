"""MISSRec: the paper's network, the released one, and their ablations."""
