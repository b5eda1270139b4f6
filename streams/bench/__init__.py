"""Measurements that anybody can repeat: `brakeline bench NAME`. Each returns a plain dict of figures."""
