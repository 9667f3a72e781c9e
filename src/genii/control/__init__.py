"""Talk to a running supervisor: its API over HTTP, and the client behind the command line."""
