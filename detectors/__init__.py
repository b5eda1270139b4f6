"""Pure detectors of runaway token spend; this package imports nothing else of Brakeline."""
