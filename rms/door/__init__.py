"""The door: one port for all RMS processes of a host. It passes viewers' sockets to them."""
