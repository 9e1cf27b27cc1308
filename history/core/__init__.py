"""Decides without waiting: ids, comments, videos, and the pure parts of the stores."""
