"""Results held against a stored baseline, for regression tests."""
