"""Pure tensor functions on graphs: segments, edge products, similarities, divergences."""
