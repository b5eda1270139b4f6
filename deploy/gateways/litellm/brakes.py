"""Brakeline's callback for config.yaml beside it; pip install brakeline-gateway into LiteLLM's environment."""

import os

from brakeline_gateway.litellm import brakes as make

brakes = make(
    os.environ.get("BRAKELINE_ENV", "production"),
    os.environ["BRAKELINE_TRUST"],
    os.environ.get("BRAKELINE_GATEWAY_ID", "litellm"),
    {"bootstrap_servers": os.environ["BRAKELINE_KAFKA"]},
    prefix=os.environ.get("BRAKELINE_PREFIX", "brakeline"),
)
