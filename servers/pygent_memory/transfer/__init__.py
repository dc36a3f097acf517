"""Memories on their way out to files and in from them."""
