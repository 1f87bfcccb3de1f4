"""The HTTP surface: the data plane in plain ASGI, the control plane in FastAPI."""
