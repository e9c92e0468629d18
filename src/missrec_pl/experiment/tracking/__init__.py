"""What all loggers are told of a run, computed in one place."""
