"""The server under the routes: sockets, connections and the HTTP protocol."""
