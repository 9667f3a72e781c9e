"""What wakes a program: signals, timers, cron, file changes, HTTP requests."""
