"""What the services' HTTP faces share: a connection with limits, how a server listens and ends, and the form of errors.

Only this folder, `comment_service/http` and `rms/http` know HTTP.
"""
