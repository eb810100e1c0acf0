"""The marker that CI selects: ``pytest benchmarks -m ratio``."""

from __future__ import annotations


def pytest_configure(config):
    config.addinivalue_line("markers", "ratio: compares the core with its peers and fails below a floor")
