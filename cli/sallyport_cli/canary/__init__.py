"""`sallyport canary`: canaries from start to end, and what is known of them."""
