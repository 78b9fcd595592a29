"""Networks that somebody else wrote, as graphs: read out of the cache, or asked of a tracer. No torch."""
