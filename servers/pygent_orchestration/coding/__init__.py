"""Coding tasks: an agent writes, gates judge, another agent reviews, and what is good is merged."""
