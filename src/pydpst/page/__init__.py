"""The page of `pydpst ui`."""
