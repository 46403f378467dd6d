"""Whether a body is fit to go on: strict JSON, and the route's schema."""
