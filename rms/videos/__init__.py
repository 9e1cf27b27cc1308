"""Which videos are served here: how they open and close, and how viewers enter and leave them."""
