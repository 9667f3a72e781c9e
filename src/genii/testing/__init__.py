"""Public fakes: what tests of programs built on genii need instead of the real thing."""
