"""The full-screen view of the terminal: the same as the dashboard, over the same API."""
