"""What is where in both photos, and what goes to what."""
