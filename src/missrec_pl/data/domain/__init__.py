"""The domain folder: its files, how it is read, checked, written and extended."""
