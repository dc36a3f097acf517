"""Features: from what somebody wants of a repository to tested code merged into it."""
