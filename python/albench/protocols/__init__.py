"""Protocols of a study as packaged data: one YAML file each."""
