"""Tasks that end in code: written in a worktree, judged by gates, looked at by another agent, merged."""
