"""The HTTP face of an RMS and of the door: routes, responses, and how a viewer's socket is taken over."""
