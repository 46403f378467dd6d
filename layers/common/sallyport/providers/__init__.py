"""The upstreams' own protocols: what is sent to them, and what of their answers may be returned."""
