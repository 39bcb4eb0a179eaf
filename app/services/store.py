"""What services keep everything in, for the web to open and pass on without looking inside."""

from app.storage.store import Store

__all__ = ["Store"]
