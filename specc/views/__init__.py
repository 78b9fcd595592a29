"""Plans, budgets and margins as tables and JSON documents; nothing is computed here that a plan does not hold."""
