"""The dashboards' JSON, on disk and in a Grafana that runs; which version may replace which."""
