"""The gateway kit: it enforces signed kill commands and imports nothing but relatives."""
