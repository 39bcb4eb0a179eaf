"""The web application around `models`: bootstrap, commands, server, engine process, storage."""

__version__ = "0.1.0"
