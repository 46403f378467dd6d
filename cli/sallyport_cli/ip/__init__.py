"""`sallyport ip`: addresses allowed and denied from the command line, at once, beside the policy document."""
