"""The JSON API: one module a noun. Its shapes are in `shapes.py`, its errors in `app/web/errors.py`."""
