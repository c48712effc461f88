"""The doors of a running engine: JSON-RPC 2.0 over a Unix socket, and the client that speaks it."""
