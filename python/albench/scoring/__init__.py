"""What a trained network says about unlabelled units: moments, entropy, gradient embeddings."""
