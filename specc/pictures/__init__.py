"""Pictures of plans, networks and runs as SVG, light and dark; what they show is computed elsewhere, never here."""
