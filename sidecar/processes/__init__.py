"""Several serving processes under one parent: the parent has the engine, the children have the sockets."""
