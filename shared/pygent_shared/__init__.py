"""The floor every server, the registry and the A2A front stand on. It imports nothing of ours."""
