"""All that knows HTTP: routes, the parsing of requests, responses, and the shortcuts past the framework."""
