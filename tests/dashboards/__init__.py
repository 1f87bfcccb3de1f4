"""Dashboards: what is generated, what a real Prometheus answers, how they reach a Grafana."""
