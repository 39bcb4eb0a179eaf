"""Latent diffusion: networks, schedules, samplers, training. Knows nothing of HTTP, databases or users."""
