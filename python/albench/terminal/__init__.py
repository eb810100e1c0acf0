"""The command line: what it asks, shows and prints."""
