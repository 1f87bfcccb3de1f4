"""What operators see: metrics, statistics, logs. All are fed by one record per finished exchange."""
