"""Counts what a response takes while it passes by, whole or as a stream of events. Keeps no text."""

import zlib
from collections.abc import Mapping
from typing import Any

import msgspec

from .usage import BYTES_A_TOKEN, Usage, most, said_bytes, tool_calls, usage_within

BODY_BYTES_MAX = 16 << 20
LINE_BYTES_MAX = 4 << 20
_ENDS = ("message_stop", "response.completed", "response.incomplete", "response.failed")


class Meter:
    """Feed it the chunks of a response, then ask. Understands gzip and deflate; of others it knows that they passed.

    `finished` once a stream has said its last word, `error` is what an event of it complained of.
    """

    def __init__(self, headers: Mapping[str, str]) -> None:
        kind, encoding = headers.get("content-type", ""), headers.get("content-encoding", "").strip().lower()
        self.streams = "text/event-stream" in kind
        self.finished = False
        self.told: Usage | None = None
        self.model = self.answer_id = self.error = ""
        self.tool_calls = 0
        self._readable = encoding in ("", "identity", "gzip", "deflate") and (self.streams or "json" in kind)
        self._inflate = zlib.decompressobj(zlib.MAX_WBITS | 32) if encoding in ("gzip", "deflate") else None
        self._buffer = bytearray()
        self._said_bytes = self._said_events = 0
        self._told_last = False

    def feed(self, chunk: bytes) -> None:
        """Take in what has passed; never raises."""
        if not self._readable:
            return
        try:
            self._buffer += self._inflate.decompress(chunk) if self._inflate else chunk
        except zlib.error:
            self._give_up()
            return
        if self.streams:
            *lines, rest = self._buffer.split(b"\n")
            self._buffer = bytearray(rest)
            for line in lines:
                self._take_line(bytes(line))
        if len(self._buffer) > (LINE_BYTES_MAX if self.streams else BODY_BYTES_MAX):
            self._give_up()

    def end(self) -> None:
        """Take in what is left of a response that won't go on."""
        rest = bytes(self._buffer)
        self._buffer.clear()
        if self.streams:
            self._take_line(rest)
        elif rest:
            self._take(rest)
            self._said_bytes = 0 if self.finished else len(rest)

    def usage(self, prompt_tokens: int) -> Usage:
        """Return what the response took: as told, else estimated from what has passed and from the prompt's size."""
        told = self.told or Usage(input_tokens=prompt_tokens)
        if self._told_last:
            return told
        # Models give about a token an event; the first event of Anthropic's stream tells of the input only.
        output = max(-(-self._said_bytes // BYTES_A_TOKEN), self._said_events)
        return msgspec.structs.replace(told, output_tokens=max(told.output_tokens, output))

    def _give_up(self) -> None:
        self._readable = False
        self._buffer.clear()

    def _take_line(self, line: bytes) -> None:
        if line.startswith(b"data:"):
            content = line[5:].strip()
            if content == b"[DONE]":
                self.finished = True
            else:
                self._take(content)

    def _take(self, content: bytes) -> None:
        try:
            body = msgspec.json.decode(content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if isinstance(body, dict):
            self.take(body)

    def take(self, body: Mapping[str, Any]) -> None:
        """Take in a whole response, or an event of a stream, that is decoded."""
        kind = _text(body.get("type"))
        self.finished = self.finished or kind in _ENDS or not self.streams
        for each in (body, body.get("response"), body.get("message")):
            if isinstance(each, dict):
                self.model = self.model or _text(each.get("model") or each.get("modelVersion"))
                self.answer_id = self.answer_id or _text(each.get("id") or each.get("responseId"))
                self.tool_calls = max(self.tool_calls, tool_calls(each))
        failed = body.get("error")
        if isinstance(failed, dict):
            self.error = _text(failed.get("type") or failed.get("code")) or "stream"
        self.tool_calls += _begins_tool_call(body)
        added = said_bytes(body)
        self._said_bytes += added
        self._said_events += added > 0
        found = usage_within(body)
        if found is not None:
            self.told = found if self.told is None else most(self.told, found)
            self._told_last = kind != "message_start"


def _begins_tool_call(body: Mapping[str, Any]) -> int:
    """Count the tools that an event of a stream begins to call."""
    if body.get("type") == "content_block_start":
        block = body.get("content_block")
        return isinstance(block, dict) and str(block.get("type", "")).endswith("tool_use")
    begun = 0
    choices = body.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        calls = delta.get("tool_calls") if isinstance(delta, dict) else None
        begun += sum(isinstance(each, dict) and bool(each.get("id")) for each in calls or () if isinstance(calls, list))
    return begun


def _text(value: Any) -> str:
    return value[:256] if isinstance(value, str) else ""
