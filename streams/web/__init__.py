"""The page: what the person on call looks at, and where they act."""
