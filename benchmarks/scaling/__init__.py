"""How cost grows with sessions, and what several routers with one Redis Cluster survive."""
