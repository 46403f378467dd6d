"""What the operator sees: one JSON line per request and decision, and metrics in CloudWatch's embedded format."""
