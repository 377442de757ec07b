"""Benchmarks: every alternative side by side, in fresh processes, on the machine at hand."""
