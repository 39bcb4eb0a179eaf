"""What a user can do, and the dispatcher that gets it done. Knows no HTTP framework and no torch."""
