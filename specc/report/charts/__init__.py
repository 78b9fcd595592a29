"""The pictures that only a report has, of a run's figures; pictures of plans are in `specc.pictures`, not here."""
