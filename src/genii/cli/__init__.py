"""The command line: one file per noun that parses, calls one function and prints."""
