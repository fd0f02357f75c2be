"""Networks that restyle any photo in one pass, and their training."""
