"""What the language has, told in Markdown: its keys, kinds and ops; what is not in the schema is not told here."""
