"""`sallyport local`: the stack of template.yaml on one machine, with API Gateway and Lambda as AWS runs them."""
