"""Benchmarks of the hot paths. Each compares in one run and prints CPU time per event; RESULTS.md holds the figures."""
