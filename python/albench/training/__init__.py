"""Trainers: one interface, nnU-Net behind it, and a fast fake for tests."""
