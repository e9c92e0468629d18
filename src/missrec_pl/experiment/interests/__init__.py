"""Interest prototypes and the item tokens that they divide, in numbers."""
