"""The laws, one module or more for each kind of component."""
