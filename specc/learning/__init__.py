"""What local units learn with: heads, losses and links, one description each; not where they stand in a network."""
