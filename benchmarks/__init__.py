"""Benchmarks: one script for each claim."""
