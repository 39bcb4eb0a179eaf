"""HTTP: pages and JSON. Knows neither torch nor SQL; everything that a user can do is in `app/services/`."""
