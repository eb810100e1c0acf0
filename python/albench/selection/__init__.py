"""Selection for whoever has a model of their own: arrays of embeddings and uncertainties in, indices out."""
