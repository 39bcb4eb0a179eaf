"""Rows and image files. Knows SQL and folders; knows neither HTTP nor torch."""
