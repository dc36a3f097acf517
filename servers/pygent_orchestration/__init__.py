"""The orchestration server: workflows as data, carried out durably."""
