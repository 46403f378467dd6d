"""Sallyport: a serverless AI gateway. This is what its functions share, shipped to Lambda as a layer."""

__version__ = "0.1.0"
