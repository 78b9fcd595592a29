"""From the calls that a trace of somebody else's model recorded to a backbone of ops and layers. No torch here."""
