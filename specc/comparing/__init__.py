"""Several specs at several seeds: what is to be trained, by which processes, and what came of it. No torch in here."""
