"""The promises of a gateway, tried against one that runs: `brakeline-gateway conformance`."""
