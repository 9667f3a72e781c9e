"""The version, as a plain value: reading it from package metadata would cost the daemon 3.5 MiB. No I/O."""

__version__ = "0.1.0"
