"""Prefork servers: one manager, workers forked ahead of demand, one listening socket that all of them share."""
