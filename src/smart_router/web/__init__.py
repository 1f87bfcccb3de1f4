"""The playground at `/`: static files, and how they are served. A client over HTTP: the page knows the API alone."""
