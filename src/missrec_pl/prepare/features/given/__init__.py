"""Features that somebody else made: read from files of any usual kind, and put beside their items by id."""
