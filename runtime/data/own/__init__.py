"""Data sets of torch that were not written for specc: made by a function of the user's file, or handed over."""
