"""Short runs of recipes, whose figures must land where those of sound runs have landed."""
