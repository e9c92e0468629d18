"""What is wrong with this machine for this program: all findings at once, each with its remedy."""
