"""How often the router is right, measured on labelled queries that it has not learnt from."""
