"""What the listing commands print."""
