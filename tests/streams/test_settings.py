import re
import ssl
from pathlib import Path

import pytest
from pydantic import SecretStr

from streams.settings import Floors, Kafka, Policy, Security, Settings, SettingsError, load, schema
from streams.settings.detectors import build
from streams.settings.policy import FloorsOverride, Override

BAD_FILES = sorted(Path(__file__).parent.parent.joinpath("config_bad").glob("*.yaml"))


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "brakeline.yaml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", BAD_FILES, ids=lambda path: path.stem)
def test_each_mistake_is_named_with_its_line_and_its_mend(path: Path) -> None:
    expected = re.match(r"# expect (\d+): (.+)\n", path.read_text())
    assert expected is not None

    with pytest.raises(SettingsError) as caught:
        load(path, environ={})

    message = str(caught.value)
    assert message.startswith(f"{path}:{expected[1]}: {expected[2]}")
    assert len(caught.value.problems) == 1
    assert "hush" not in message


def test_all_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, "mode: arm\npolcy: {}\nlogs: {level: loud}\n"))

    assert [problem.line for problem in caught.value.problems] == [1, 2, 3]


def test_an_empty_file_is_a_safe_installation(tmp_path: Path) -> None:
    settings = load(written(tmp_path, ""))

    assert settings.mode == "shadow"
    assert settings.service.web_host == "127.0.0.1"
    assert settings.topics.event_topics == ("brakeline.events",)


def test_three_lines_point_at_a_real_kafka(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "kafka:\n  bootstrap: a:9092, b:9092\nmode: armed\n"))

    assert settings.kafka.client_kwargs()["bootstrap_servers"] == ["a:9092", "b:9092"]
    assert settings.mode == "armed"


def test_secrets_come_from_the_environment_and_from_files(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("xoxb-1\n")
    path = written(
        tmp_path,
        """
        kafka: {bootstrap: "${HOST:-fallback}:9092", security: {protocol: SASL_SSL, username: me, password: "${PW}"}}
        service: {web_port: "${PORT}"}
        slack: {token: "file:token", channel: "a$${b}"}
        """,
    )

    settings = load(path, environ={"PW": "s3cret", "PORT": "9000"})

    assert settings.kafka.security.password == SecretStr("s3cret")
    assert settings.kafka.bootstrap == ("fallback:9092",)
    assert settings.service.web_port == 9000
    assert settings.slack.token == SecretStr("xoxb-1")
    assert settings.slack.channel == "a${b}"
    assert "s3cret" not in repr(settings)
    assert "xoxb" not in repr(settings)


def test_a_value_from_the_environment_is_never_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        load(written(tmp_path, "service: {web_port: '${PORT}'}"), environ={"PORT": "hush"})

    assert "service.web_port: must be a valid integer" in str(caught.value)
    assert "hush" not in str(caught.value)


def test_a_file_is_checked_where_its_secrets_are_not(tmp_path: Path) -> None:
    path = written(tmp_path, "slack: {token: '${NOPE}', channel: C1}")

    assert load(path, environ={}, with_secrets=False).slack.channel == "C1"


def test_relative_paths_start_from_the_file(tmp_path: Path) -> None:
    settings = load(written(tmp_path, "keys: {dir: keys}"))

    assert settings.keys.dir == tmp_path / "keys"
    assert settings.service.data_dir == tmp_path / "brakeline-data"


def test_a_missing_file_is_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"can't read the file: No such file"):
        load(tmp_path / "none.yaml")


def test_settings_can_not_be_changed() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Settings().mode = "armed"  # type: ignore[misc]


def test_sasl_over_tls_gives_aiokafka_what_it_needs() -> None:
    security = Security(protocol="SASL_SSL", username="me", password=SecretStr("pw"))

    kwargs = Kafka(security=security).client_kwargs()

    assert isinstance(kwargs["ssl_context"], ssl.SSLContext)
    assert kwargs["sasl_mechanism"] == "SCRAM-SHA-512"
    assert (kwargs["sasl_plain_username"], kwargs["sasl_plain_password"]) == ("me", "pw")


def test_a_plain_connection_has_no_tls() -> None:
    assert "ssl_context" not in Kafka().client_kwargs()


def test_later_overrides_win_and_unnamed_values_stay() -> None:
    policy = Policy(
        overrides=(
            Override(scope="agent:batch-*", cooldown_s=1.0, floors=FloorsOverride(min_calls=9)),
            Override(team="research", cooldown_s=2.0, mode="armed"),
        )
    )

    merged = policy.applying_to("agent:batch-1", "research")

    assert merged.cooldown_s == 2.0
    assert merged.floors == Floors(min_calls=9)
    assert policy.applying_to("agent:chat").cooldown_s == policy.cooldown_s
    assert policy.mode_of("shadow", "agent:batch-1", "research") == "armed"
    assert policy.mode_of("shadow", "agent:batch-1", "sales") == "shadow"


def test_the_schema_describes_every_section() -> None:
    assert set(schema()["properties"]) == set(Settings.model_fields)


def test_detectors_take_their_parameters_or_are_switched_off() -> None:
    usual = build({})
    changed = build({"surge": {"breach_sigmas": 7}, "ceiling": {"enabled": False}})

    assert set(usual) - set(changed) == {"ceiling"}
    assert changed["surge"].breach_sigmas == 7.0


def test_key_files_have_their_usual_names_in_the_folder(tmp_path: Path) -> None:
    keys = load(written(tmp_path, "keys: {dir: keys, approver_file: elsewhere.key}")).keys

    assert keys.file_of("detector") == tmp_path / "keys" / "detector.key"
    assert keys.file_of("approver") == tmp_path / "elsewhere.key"
    assert keys.file_of("trust") == tmp_path / "keys" / "trust.json"
