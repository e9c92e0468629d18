"""What the paper and the released repository report, and how their tables are laid out."""
