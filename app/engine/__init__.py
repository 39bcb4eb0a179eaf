"""The process that owns a device, and how to reach it. `client` and `supervisor` import no torch; `engine` does."""
