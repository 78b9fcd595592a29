"""YAML text to a located tree, and what every validated section of a spec is made of; not which sections there are."""
