"""Who is told, who may act, and with which keys commands are signed."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, model_validator

from streams.settings.section import FilePath, Section, Url

Role = Literal["viewer", "operator", "admin"]


class Keys(Section):
    """Key files of the signed commands, as `brakeline keys` writes them."""

    dir: FilePath | None = None
    """Folder with `detector.key`, `commander.key`, `approver.key` and `trust.json`; a file below overrides its own."""
    detector_file: FilePath | None = None
    """Private key that may kill."""
    commander_file: FilePath | None = None
    """Private key that signs heartbeats."""
    approver_file: FilePath | None = None
    """Private key that may release."""
    trust_file: FilePath | None = None
    """Public keys and their roles, the same file that the gateways have."""
    env: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "production"
    """Signed into each command: a kill of one environment is void in another."""

    def file_of(self, role: Literal["detector", "commander", "approver", "trust"]) -> Path | None:
        """Return where a role's key (or the trust file) is to be found; None if the settings don't say."""
        given: Path | None = getattr(self, f"{role}_file")
        name = "trust.json" if role == "trust" else f"{role}.key"
        return given or (self.dir / name if self.dir else None)


class Slack(Section):
    """One message an incident; without a token incidents are logged instead."""

    token: SecretStr | None = None
    """Bot token, `xoxb-...`."""
    channel: str | None = None
    base_url: Url = "https://slack.com/api/"
    app_token: SecretStr | None = None
    """For Socket Mode, `xapp-...`; buttons work without an inbound address."""
    signing_secret: SecretStr | None = None
    """For signed HTTP actions instead of Socket Mode."""

    @model_validator(mode="after")
    def _complete(self) -> "Slack":
        if self.token is not None and self.channel is None:
            raise ValueError("a token needs a channel to post to, such as channel: C0123ABCD")
        return self


class Webhook(Section):
    """An address that gets each incident as signed JSON."""

    url: Url
    secret: SecretStr | None = None
    """Key of the HMAC in the `X-Brakeline-Signature` header."""


class PagerDuty(Section):
    """Events API v2."""

    routing_key: SecretStr
    base_url: Url = "https://events.pagerduty.com"
