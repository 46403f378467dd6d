"""Benchmarks: every figure that the documentation names comes from a run of `make bench`."""
