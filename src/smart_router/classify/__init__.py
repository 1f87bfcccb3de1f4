"""From a query to probabilities over the use cases."""
