"""Recipes: how the files of a data set are read, said in YAML instead of code."""
