"""How good predictions are: Dice, NSD and HD95 per case and class."""
