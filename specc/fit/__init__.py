"""Looks for what fits a budget: cuts, knobs, remedies; what a block costs is asked of `memory`, not known here."""
