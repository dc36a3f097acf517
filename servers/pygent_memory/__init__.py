"""Memories that outlast a conversation."""
