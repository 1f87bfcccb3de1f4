"""Models that come and go, simulated at scale: nothing here waits in real time, and no model server is asked."""
