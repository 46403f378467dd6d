"""Where a request goes: only to targets inside the regions that the tenant's data may go to."""
