"""Running recipes: teacher first, then every method's student for every seed, all resumable."""
