"""What specc asks of its machine: regular files, the user's cache, the environment, kinds of devices; no specs."""
