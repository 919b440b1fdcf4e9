"""The hop between the edge and a replica: one TCP connection, many calls, tensors as raw bytes.

A Serve handle call costs both processes 1 to 2 ms: it pickles request metadata, runs a routing task and a
gRPC call. Serve decides *which* replicas run (it publishes their addresses, see ``cluster.discovery``);
the batches themselves go straight to them over this transport, without any of that, and a lost replica is
seen the moment its socket closes. Frames hold no pickles: whoever reaches the port can send numbers, not code.
"""
