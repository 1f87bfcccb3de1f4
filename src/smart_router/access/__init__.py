"""Who may use the router, and for what."""
