"""The web application around `models`: bootstrap, commands, server, engine process, storage."""
