"""The fleet: hosts and groups, ways to reach them, and commands, tasks and files for many at once."""
