"""The streams to the dispatchers: what this node reports, and the comments that come."""
