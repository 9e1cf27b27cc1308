"""Every number of a comment_service, with its unit and its reason. No other file of the service holds one."""
