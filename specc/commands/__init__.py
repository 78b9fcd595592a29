"""The commands of the command line: what is typed and shown, not what is done. Heavy imports are inside of them."""
