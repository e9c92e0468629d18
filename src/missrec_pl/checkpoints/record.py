"""What a checkpoint says about the run that made it."""

RECORD = "missrec_pl"
"""Key of the record in a checkpoint."""
