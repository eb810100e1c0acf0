"""The computer underneath: files, scratch memory, limits, and how processes share it out."""
