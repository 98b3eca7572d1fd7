"""What a trained network is worth: its metrics, size, run time and memory."""
