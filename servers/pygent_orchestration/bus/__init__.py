"""The bus: how agents, workers, workflows and hosts tell each other something.

It carries words, never work: what is to be done is in the durable queue, and goes on where a message is lost.
In one process it needs nothing; several share a Redis.
"""
