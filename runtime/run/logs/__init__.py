"""What a run tells other tools of its epochs: one small protocol, and an adapter of a few lines for each of them."""
