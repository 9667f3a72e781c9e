"""Keep programs running: what they are, how each one lives, in which order, and where their output goes."""
