"""Run directories as data: what they say of themselves, whatever state they are in. Nothing is run or written here."""
