"""What local units learn with: heads and losses, one description each; not where they stand in a network."""
