"""Agents defined as data, and how they think."""
