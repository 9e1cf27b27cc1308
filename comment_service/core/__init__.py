"""Decides what is admitted, what is wrong with it, and what is still to be published. Pure: no clock, no I/O."""
