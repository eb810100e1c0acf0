"""What a strategy chooses among: units of cases, their pool and split, and what annotating them costs."""
