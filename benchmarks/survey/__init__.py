"""Networks of other libraries, one after the other: traced, cut, planned, predicted and trained for one step."""
