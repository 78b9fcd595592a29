"""The commands of the command line, by what they are about. Every heavy import is inside the command."""
