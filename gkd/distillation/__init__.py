"""Behind the distiller: what a step reads of batch and networks, and what it refuses."""
