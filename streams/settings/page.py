"""The page: whether it is served, and who may see and do what."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import Field, model_validator

from streams.settings.people import Role
from streams.settings.section import FilePath, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Oidc(Section):
    """The signed token that an identity-aware proxy passes on with every request."""

    issuer: Annotated[str, Field(min_length=1)]
    audience: Annotated[str, Field(min_length=1)] | None = None
    """Whom the token must be meant for: the proxy's client id."""
    signer: Annotated[str, Field(min_length=1)] | None = None
    """In place of an audience, where tokens have none: the ARN of the AWS load balancer that signs them."""
    jwks_url: Annotated[str, Field(pattern=r"^https?://[^\s{}]+(\{kid\}[^\s{}]*)?$")] | None = None
    """Where the issuer's public keys are, read again when a token names a key that isn't known. With `{kid}` each key
    has an address of its own, as PEM. Without this and `jwks_file` the issuer's discovery document says it."""
    jwks_file: FilePath | None = None
    """The same keys in a file."""
    header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]{1,64}$")] = "Authorization"
    """The header that carries the token, with or without `Bearer`."""
    algorithms: tuple[Algorithm, ...] = ("RS256", "ES256")
    user_claim: str = "email"
    roles_claim: str = "groups"
    roles: Mapping[str, Role] = Field(default_factory=dict)
    """Group -> role; the highest counts. Who has none may not even look."""

    @model_validator(mode="after")
    def _complete(self) -> "Oidc":
        if self.jwks_url is not None and self.jwks_file is not None:
            raise ValueError("give jwks_url or jwks_file, not both")
        if self.jwks_url is None and self.jwks_file is None and not self.issuer.startswith(("https://", "http://")):
            raise ValueError("give jwks_url or jwks_file: the issuer is no address that could say where its keys are")
        if (self.audience is None) == (self.signer is None):
            raise ValueError("give audience, whom tokens must be meant for (or signer, for an AWS load balancer's)")
        if not self.roles:
            raise ValueError(
                "roles is empty, so nobody could see the page; name a group, such as roles: {oncall: operator}"
            )
        return self


class Page(Section):
    """Without `oidc` the page answers this machine only (the loopback interface)."""

    enabled: bool = True
    local_role: Role = "operator"
    """What somebody on this machine may do, where there is no `oidc`."""
    oidc: Oidc | None = None
    calls_kept: Annotated[int, Field(ge=1_000, le=100_000_000)] = 1_000_000
    """How many calls can be found by their id, the newest; some 50 bytes each."""
