"""What may be said of many runs, and the one door to a sealed test set."""
