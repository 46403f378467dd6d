"""Sallyport's tests."""
