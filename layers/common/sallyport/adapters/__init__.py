"""The only place where AWS and the network are called: each module implements a Protocol of a room."""
