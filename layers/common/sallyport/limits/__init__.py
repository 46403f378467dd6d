"""Rate limits: a sliding window from two counters, charged with one conditional write per scope."""
