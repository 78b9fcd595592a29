"""A trained network in files that others read, compared with the run before they are written; no training."""
