"""Sockets, connections and the HTTP protocol under the routes."""
