"""What Grafana shows: `python -m grafana.dashboards` writes `dashboards/*.json` from the boards that stand here."""
