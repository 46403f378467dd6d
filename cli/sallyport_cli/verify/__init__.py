"""`sallyport verify`: what would become of a body, tried on this machine by the functions' own code."""
