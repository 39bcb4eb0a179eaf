"""Where loading used to be; `loading.py` takes folders and single files alike."""

from models.checkpoint.loading import CheckpointError, CheckpointFacts, inspect, load

__all__ = ["CheckpointError", "CheckpointFacts", "inspect", "load"]
