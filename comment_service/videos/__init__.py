"""Keeps the records of live videos, and decides whether a video takes comments."""
