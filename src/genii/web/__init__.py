"""The dashboard: its pages, and the files they are made of."""
