"""Searching the settings of a recipe's methods on validation data, each with the same budget."""
