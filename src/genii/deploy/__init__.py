"""Releases: brought to hosts, made ready, switched to, watched, taken back; in Capistrano's layout, over ``fleet``."""
