"""Programs as daemons: start any command as one, and the control program that starts, stops and asks after it."""
