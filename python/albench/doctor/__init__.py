"""What may be wrong with a machine before a run finds out: versions, limits, folders, and the cure of each."""
