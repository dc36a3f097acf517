"""Consolidation: facts, summaries and judgements that are made of memories, never in place of them."""
