"""Photos in and out: files, colours, sizes."""
