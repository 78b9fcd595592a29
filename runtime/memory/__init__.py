"""Measures memory: real steps, traces under fake tensors, calibration of a device; no training."""
