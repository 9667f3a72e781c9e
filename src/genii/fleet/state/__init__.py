"""Wanted states of a host: what to ask it, and which commands make it so. Each verb is a question and a plan."""
