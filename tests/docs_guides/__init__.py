"""What the guides promise, tried."""
