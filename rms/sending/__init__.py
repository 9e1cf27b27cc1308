"""Viewers' sockets, and the only writer to them."""
