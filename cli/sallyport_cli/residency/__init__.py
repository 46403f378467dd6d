"""Where requests went, whether it can be proved, and where they would go now: `sallyport residency`."""
