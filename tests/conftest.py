"""What holds for every test."""

from hypothesis import settings

# No test says how fast something must be, and the machine may be busy with others.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
