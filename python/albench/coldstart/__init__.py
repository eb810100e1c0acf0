"""The starting set of a chain: what to annotate before there is a model to ask."""
