"""What follows from a score: policy, commands, incidents, and the kit that gateways install."""
