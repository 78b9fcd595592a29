"""Data sets that somebody else's code makes, by what their first samples say: asked once, and kept. No torch."""
