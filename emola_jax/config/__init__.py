"""What a config may hold, and the one place where it is read."""
