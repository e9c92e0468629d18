"""The picture of a run's interests."""
