"""Lanterns in the dark."""
