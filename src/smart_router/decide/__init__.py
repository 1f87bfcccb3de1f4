"""Every decision of the router, pure: no clock, no randomness, no network; what they need comes as an argument."""
