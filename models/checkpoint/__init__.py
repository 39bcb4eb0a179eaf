"""Checkpoints on disk: `facts` says what one is without torch, `folder` loads it."""
