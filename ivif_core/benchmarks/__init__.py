"""How fast it is: latency, throughput, and the bandwidth floor."""
