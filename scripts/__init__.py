"""The tools: they start, watch, test and measure the services, and ask them from outside as a client does."""
