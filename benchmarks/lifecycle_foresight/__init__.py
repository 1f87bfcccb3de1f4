"""Waking early, simulated: sessions that go from one model to the next, with PREDICTIVE_WAKE and without."""
