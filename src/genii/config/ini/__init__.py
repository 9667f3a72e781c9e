"""Files in supervisord's language (``supervisord.conf``), read into the same model as genii.toml."""
