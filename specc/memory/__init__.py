"""Predicts the memory of a step without torch: storages, what autograd keeps; nothing of specs, blocks or budgets."""
