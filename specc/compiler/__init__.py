"""The passes from a spec to a scheduled step, one a file, and the verifier; choosing among specs is not done here."""
