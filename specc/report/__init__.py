"""A run's report: one HTML page that needs nothing else, and its figures as SVG. It reads directories, and no data."""
