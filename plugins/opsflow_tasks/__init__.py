"""The built-in tasks, found by the same entry points as anybody's plugin."""
