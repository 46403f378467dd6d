"""The operator's command: `sallyport local`, the echo upstream, the emulators and API keys. Never shipped to Lambda."""
