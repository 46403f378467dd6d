"""`sallyport limits`: how much of each limit is used, resets, and what killed functions left charged."""
