"""Recipes: their model, files and settings, and those that come with gkd."""
