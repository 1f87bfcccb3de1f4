"""Models that come and go: what each kind does, and who decides when."""
