"""Working jobs off: arq's consumer, the lease, the handler."""
