"""Configuration files in, one model out, each error with its place."""
