"""The practitioner's loop: which units of unlabelled images to annotate next, and training on what came back."""
