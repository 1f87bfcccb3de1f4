"""How it is deployed: the image, the compose files and the Kubernetes objects agree with the code."""
