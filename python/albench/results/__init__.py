"""The results folder, the contract between what writes it and what reads it."""
