"""The knowledge graph: entities, relations between their names, and observations, which are memories."""
