"""From a request to finished rounds: set-up, chains, rounds, workers, forecast and export."""
