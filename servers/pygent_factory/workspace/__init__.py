"""A git worktree for one run: files to read and change, and a sandbox to run them in. Nothing is merged."""
