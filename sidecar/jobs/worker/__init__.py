"""Worker of the jobs: arq's consumer, the lease, the handler."""
