"""The factory's agents over A2A, for every other agent platform."""
