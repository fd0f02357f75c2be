"""A network that reads the look of any photo in one pass."""
