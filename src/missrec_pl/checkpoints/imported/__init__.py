"""The authors' checkpoint files: read without running anything in them, and translated."""
