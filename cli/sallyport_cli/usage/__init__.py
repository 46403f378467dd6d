"""`sallyport usage`: what tenants used, from the totals of each day."""
