"""Faults under constant load: Redis, model servers and routers are hit while conversations go on."""
