"""One photo's look, given to another."""
