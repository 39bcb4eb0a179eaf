"""A package, so that the browser's fixtures can live for it: Playwright's event loop must end before other tests."""
