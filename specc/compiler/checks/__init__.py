"""What a spec can be wrong about beyond the types of its values: checks only add diagnostics, and build nothing."""
