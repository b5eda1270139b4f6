"""What Brakeline needs: is it there, does it answer, and what to do if not. Changes nothing."""

import asyncio
import os
import shutil
import stat
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

import aiohttp
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from msgspec import Struct

from alerts.gateway.keys import SigningKey, Trust
from alerts.gateway.obstacle import obstacle
from alerts.gateway.wire import WireError
from streams.assembly import keys_of, trust_file
from streams.by_hand import Hand, NoKeysError, Standing
from streams.clocks import Clocks
from streams.reachable import mend, problem
from streams.rights import lacking
from streams.settings import Settings
from streams.topology import compare_topics

DISK_BYTES_MIN = 1 << 30
ANSWER_S = 5.0
STALE_MAX = 5
WRONG_S = 8.0
GONE_S = 3_600.0


class Level(StrEnum):
    """How bad a finding is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Finding(Struct, frozen=True):
    """One thing that was looked at; the remedy is empty when all is well."""

    part: str
    level: Level
    what: str
    remedy: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Look at everything and return what was found, in the order in which it should be mended."""
    findings = [*_mode(settings), *_disk(settings), *_keys(settings)]
    kafka = [finding async for finding in _kafka(settings)]
    findings += kafka
    if all(finding.level is not Level.FAIL for finding in kafka):
        for check in (_topics, _rights, _commands):
            findings += [finding async for finding in check(settings)]
    findings += await asyncio.gather(_slack(settings), _service(settings))
    findings.append(_java())
    return findings


def _mode(settings: Settings) -> Iterator[Finding]:
    if settings.mode == "armed":
        yield Finding("mode", Level.OK, "Armed: runaways are stopped.")
    else:
        yield Finding("mode", Level.OK, "Shadow mode: says what it would do, stops nobody (mode: armed does).")


def _disk(settings: Settings) -> Iterator[Finding]:
    folder = settings.service.data_dir
    there = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    free = shutil.disk_usage(there).free
    if free < DISK_BYTES_MIN:
        yield Finding("disk", Level.WARN, f"{free / 1e9:.1f} GB free at {folder}.", "Make room: at least 1 GB.")
    if os.access(there, os.W_OK):
        yield Finding("disk", Level.OK, f"The data folder {folder} can be written, {free / 1e9:.0f} GB free.")
    else:
        remedy = "Set service.data_dir to a folder that this user may write."
        yield Finding("disk", Level.FAIL, f"The data folder {folder} can't be written.", remedy)


def _keys(settings: Settings) -> Iterator[Finding]:
    trust = trust_file(settings)
    if not trust.exists():
        remedy = "Run `brakeline keys FOLDER` and set keys.dir; all workers and gateways need the same trust.json."
        yield Finding("keys", Level.WARN, f"No keys yet: {trust} does not exist; `run` would make its own.", remedy)
        return
    try:
        keys, trusted = keys_of(settings)
    except (OSError, WireError) as error:
        yield Finding("keys", Level.FAIL, f"A key file can't be used: {error}.", "Restore it, or make new keys.")
        return
    for role in ("detector", "approver", "commander"):
        if role not in keys:
            remedy = f"Put {role}.key beside {trust}, or do without (a worker needs detector and commander)."
            yield Finding("keys", Level.WARN, f"The {role}'s private key isn't here.", remedy)
    for role, key in keys.items():
        if not _is_trusted(key, trusted):
            remedy = (
                f"Put the {role}.key and the trust.json of one `brakeline keys` there: gateways refuse all it signs."
            )
            yield Finding("keys", Level.FAIL, f"{trust} does not know the key in {role}.key.", remedy)
    open_files = [path for path in sorted(trust.parent.glob("*.key")) if _is_open(path)]
    for path in open_files:
        yield Finding("keys", Level.FAIL, f"{path} can be read by others.", f"chmod 600 {path}")
    if not open_files:
        yield Finding("keys", Level.OK, f"Keys for {', '.join(sorted(keys)) or 'nobody'} in {trust.parent}.")


def _is_trusted(key: SigningKey, trust: Trust) -> bool:
    try:
        trust.authenticate(key.sign_bytes(b"{}"))
    except WireError:
        return False
    return True


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO))


async def _kafka(settings: Settings) -> AsyncIterator[Finding]:
    servers = ",".join(settings.kafka.bootstrap)
    try:
        client = {**settings.kafka.client_kwargs(), "request_timeout_ms": int(ANSWER_S * 1000)}
    except OSError as error:  # ssl.SSLError is one too.
        what = f"A certificate file can't be used: {error}."
        yield Finding("kafka", Level.FAIL, what, "Look at kafka.security: ca_file, cert_file, key_file.")
        return
    admin = AIOKafkaAdminClient(**client)
    began_s = time.perf_counter()
    try:
        await asyncio.wait_for(admin.start(), 2 * ANSWER_S)
        brokers = len((await admin.describe_cluster())["brokers"])
        took_ms = 1000 * (time.perf_counter() - began_s)
        yield Finding("kafka", Level.OK, f"Kafka at {servers} answers in {took_ms:.0f} ms.")
        if brokers < 3:
            remedy = "Three brokers in production: one may then fail without losing a kill."
            yield Finding("replication", Level.WARN, f"Brokers in the cluster: {brokers}.", remedy)
    except (KafkaError, OSError, TimeoutError) as error:
        found = await obstacle(client)
        if found is None:
            remedy = f"Check kafka.bootstrap, the network, and that the listener speaks {client['security_protocol']}."
            yield Finding("kafka", Level.FAIL, f"Kafka at {servers} can't be reached: {_words(error)}.", remedy)
        else:
            yield Finding(
                "kafka", Level.FAIL, f"Kafka can't be reached: {problem(found, settings.kafka)}.", mend(found)
            )
    finally:
        with suppress(KafkaError, OSError):
            await admin.close()


async def _topics(settings: Settings) -> AsyncIterator[Finding]:
    try:
        report = await compare_topics(settings, create=False)
    except KafkaError as error:
        yield Finding("topics", Level.FAIL, f"Topics can't be listed: {_words(error)}.", "Allow DESCRIBE on them.")
        return
    for finding in report.findings:
        if finding.endswith("does not exist"):
            level = Level.WARN if settings.topics.create else Level.FAIL
            yield Finding("topics", level, f"T{finding[1:]}.", "Run `brakeline topics --create`.")
        else:
            level = Level.FAIL if " must have " in finding else Level.WARN
            yield Finding("topics", level, f"T{finding[1:]}.", report.mends[finding])
    if not report.findings:
        yield Finding("topics", Level.OK, f"All topics named {settings.topics.prefix}.* are as they should be.")


async def _rights(settings: Settings) -> AsyncIterator[Finding]:
    try:
        lacks = await lacking(settings)
    except (KafkaError, OSError) as error:
        yield Finding("rights", Level.WARN, f"What we may do can't be seen: {_words(error)}.", "See Kafka's log.")
        return
    for lack in lacks:
        yield Finding("rights", Level.FAIL, f"{lack.what}.", f"{lack.mend}.")
    if not lacks:
        yield Finding(
            "rights", Level.OK, "Kafka allows what a worker does with its topics, its group and transactions."
        )


async def _commands(settings: Settings) -> AsyncIterator[Finding]:
    kills = settings.topics.named("kills")
    try:
        standing = await asyncio.wait_for(Hand(settings).look(), 2 * ANSWER_S)
    except (KafkaError, OSError, TimeoutError, WireError) as error:
        yield Finding("commands", Level.WARN, f"{kills} can't be read: {_words(error)}.", "Is the topic there?")
        return
    except NoKeysError:
        return
    for finding in _obedience(standing, kills):
        yield finding
    spoke_s = standing.heartbeat_age_s
    if standing.coverage.live(time.time()) or (spoke_s is not None and spoke_s < GONE_S):
        for finding in _apart(await Hand(settings).clocks()):
            yield finding


def _apart(clocks: Clocks) -> Iterator[Finding]:
    apart = clocks.apart()
    for who, ahead_s in list(apart.items())[:STALE_MAX]:
        where = "ahead of" if ahead_s > 0 else "behind"
        level = Level.FAIL if abs(ahead_s) >= WRONG_S else Level.WARN
        what = f"{who}'s clock is {abs(ahead_s):.1f} s {where} the broker's."
        yield Finding("clocks", level, what, "Set it by NTP: kills end by it, and heartbeats of 10 s ago are stale.")
    if clocks.here_s is not None and not apart:
        who = "this machine's" if clocks.commander_s is None else "this machine's, the commander's"
        gateways = f" and those of {len(clocks.gateways_s)} gateways" if clocks.gateways_s else ""
        yield Finding("clocks", Level.OK, f"Clocks agree with the broker's: {who}{gateways}.")


def _obedience(standing: Standing, kills: str) -> Iterator[Finding]:
    now_s = time.time()
    if standing.bad_records:
        remedy = "Use the trust.json of the writer, or look for who writes there."
        yield Finding("commands", Level.FAIL, f"{standing.bad_records} records of {kills} aren't believable.", remedy)
    if standing.is_served:
        yield Finding("commands", Level.OK, f"A commander is at work, epoch {standing.orders.epoch}.")
    else:
        remedy = "Start `brakeline run`; `kill` and `release` work without it."
        yield Finding("commands", Level.WARN, "No commander is at work.", remedy)
    live, stale = standing.coverage.live(now_s), standing.coverage.troubles(now_s)
    if not live:
        remedy = "Install brakeline-gateway where the calls pass: nothing obeys yet."
        yield Finding("gateways", Level.WARN, "No gateway has reported within an hour.", remedy)
    elif stale:
        names = ", ".join(sorted(stale)[:STALE_MAX])
        yield Finding("gateways", Level.FAIL, f"{len(stale)} of {len(live)} gateways are stale: {names}.", _STALE)
    else:
        yield Finding("gateways", Level.OK, f"Gateways that report and are live: {len(live)}.")


_STALE = "Look at their Kafka connection; the kills they know stay in force, new ones don't reach them."


async def _slack(settings: Settings) -> Finding:
    slack = settings.slack
    if slack.token is None:
        remedy = "Set slack.token and slack.channel if people should read of them in Slack."
        return Finding("slack", Level.WARN, "No Slack token: incidents are logged only.", remedy)
    headers = {"Authorization": f"Bearer {slack.token.get_secret_value()}"}
    address = f"{slack.base_url.rstrip('/')}/auth.test"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.post(address, headers=headers) as answer:
            said = await answer.json(content_type=None)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
        remedy = "Open the way to slack.com, or set slack.base_url to a proxy."
        return Finding("slack", Level.FAIL, f"Slack can't be reached: {_words(error)}.", remedy)
    if not said.get("ok"):
        remedy = "Set slack.token to a bot token (xoxb-) with chat:write."
        return Finding("slack", Level.FAIL, f"Slack refuses the token: {said.get('error', 'no reason given')}.", remedy)
    who = f"{said.get('user', '?')} in {said.get('team', '?')}"
    return Finding("slack", Level.OK, f"Slack knows us as {who}, channel {slack.channel}.")


async def _service(settings: Settings) -> Finding:
    address = f"http://{settings.service.web_host}:{settings.service.web_port}/healthz"
    try:
        timeout = aiohttp.ClientTimeout(total=ANSWER_S)
        async with aiohttp.ClientSession(timeout=timeout) as session, session.get(address) as answer:
            said = await answer.json(content_type=None)
            if answer.status == 200:
                return Finding("service", Level.OK, f"The service answers at {address}.")
            troubles = "; ".join(said.get("troubles", ["no reason given"]))
            return Finding("service", Level.FAIL, f"The service is not well: {troubles}.", "See its log.")
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, AttributeError):
        remedy = "Start `brakeline run`, or look where it runs."
        return Finding("service", Level.WARN, f"No service answers at {address}.", remedy)


def _java() -> Finding:
    if shutil.which("java"):
        return Finding("java", Level.OK, "Java is here, for a Kafka of your own (deploy/kafka).")
    return Finding("java", Level.WARN, "No Java here.", "Only needed to run a Kafka on this machine (deploy/kafka).")


def _words(error: BaseException) -> str:
    text = str(error).removeprefix(f"{type(error).__name__}: ").rstrip(".")
    return text or ("no answer in time" if isinstance(error, TimeoutError) else type(error).__name__)
