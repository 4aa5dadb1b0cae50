"""The daemon's REST surface, through the standard library."""

from __future__ import annotations

import http.client
import json
import os
import pathlib
import ssl
import threading
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Mapping
from typing import Any

from nudge.status import Code, NudgeError
from nudge.wire import Ack, ack_of

_LONGEST_ANSWER = 64 << 20  # bytes
_LONGEST_KEPT, _MOST_KEPT = 1 << 20, 16  # bytes of an answer that is kept for its tag; answers
_TIMEOUT_S = 15.0  # the daemon itself answers within 10 s
_CODES = {
    400: Code.INVALID_ARGUMENT,
    401: Code.PERMISSION_DENIED,
    403: Code.PERMISSION_DENIED,
    404: Code.NOT_FOUND,
    409: Code.FAILED_PRECONDITION,
    412: Code.ABORTED,
    422: Code.ALREADY_EXISTS,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
    507: Code.RESOURCE_EXHAUSTED,
}


def token(state_folder: str | os.PathLike[str], role: str = "supervisor") -> str:
    """The token of a role (script, viewer, supervisor, engineer), as the daemon made it.

    NOT_FOUND: the daemon has not run with this state folder, or the role has no access.
    """
    path = pathlib.Path(state_folder) / "run" / "tokens.json"
    try:
        tokens = json.loads(path.read_text("utf-8"))["tokens"]
        return str(tokens[role])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise NudgeError(
            Code.NOT_FOUND,
            f"{path} has no token for the role '{role}' ({error}); the daemon makes them at its "
            "first start with this state folder",
        ) from None


def new_id() -> str:
    """An id for a message, never used before."""
    return f"python:{uuid.uuid4().hex}"


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A token goes to the address it is for, and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class Daemon:
    """A daemon at an address such as `http://127.0.0.1:8080`. Keeps no connection; any thread.

    The address that `nudge run` prints may be given whole: its token is taken from it. Every call
    raises NudgeError: UNAVAILABLE when nothing answers, PERMISSION_DENIED for the token, else what
    the daemon says.
    """

    def __init__(self, address: str, token: str = "", *, authority: str | None = None) -> None:
        """`authority`: file of the certificate authority of a daemon that is reached by https."""
        parts = urllib.parse.urlsplit(address)
        fragment = urllib.parse.parse_qs(parts.fragment)
        if parts.scheme not in ("http", "https") or not parts.netloc:
            raise NudgeError(
                Code.INVALID_ARGUMENT, f"'{address}' is no address such as http://127.0.0.1:8080"
            )
        self.address = f"{parts.scheme}://{parts.netloc}"
        self._token = token or (fragment.get("token") or [""])[0]
        handlers: list[urllib.request.BaseHandler] = [
            # What is on this machine needs no proxy, and a token must not be shown to one.
            urllib.request.ProxyHandler({}),
            _NoRedirects(),
        ]
        if parts.scheme == "https":
            context = ssl.create_default_context(cafile=authority)
            handlers.append(urllib.request.HTTPSHandler(context=context))
        self._opener = urllib.request.build_opener(*handlers)
        self._guard = threading.Lock()
        self._kept: dict[str, tuple[str, bytes]] = {}  # by path: tag and content

    # ---- what it says ----------------------------------------------------------------------------

    def status(self) -> dict[str, Any]:
        """The newest `status`, as docs/reference/supervisor-port.md describes it."""
        return self.get("/api/v1/status")

    def robot(self) -> dict[str, Any]:
        """What the robot is: the `robot` of the live connection's hello."""
        return self.get("/api/v1/robot")

    def episodes(self, limit: int = 200) -> list[dict[str, Any]]:
        """Summaries of the newest deployments and demonstrations, oldest first."""
        found = self.get(f"/api/v1/episodes?limit={limit}").get("episodes")
        return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []

    def episode(self, number: int) -> dict[str, Any]:
        """One episode with its steps, spans and events. NOT_FOUND: none, or an older daemon."""
        return self.get(f"/api/v1/episodes/{number}")

    def frame(self, episode: int, camera: str, step: int) -> bytes:
        """The JPEG that a camera had at a policy step."""
        name = urllib.parse.quote(camera, safe="")
        return self._request("GET", f"/api/v1/episodes/{episode}/frames/{name}/{step}")

    def weights(self) -> dict[str, Any]:
        """The versions of the weights, newest first."""
        return self.get("/api/v1/weights")

    def curves(self) -> dict[str, Any]:
        """How the newest episodes went, and the success among the last 20."""
        return self.get("/api/v1/curves")

    def learning(self) -> dict[str, Any]:
        """What is learned from, and what the newest rounds made of it."""
        return self.get("/api/v1/learning")

    def metrics(self) -> str:
        """Prometheus text."""
        return self._request("GET", "/metrics").decode()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON object at any other path of `/openapi.json`.

        What has not changed since it was last asked for is not sent again.
        """
        return self._object(self._request("GET", path))

    def tag(self, path: str) -> str:
        """The tag of what `get(path)` gave last: `if_match` of `send()`. Empty: it has none."""
        return self._kept.get(path, ("", b""))[0]

    def send(self, kind: str, *, if_match: str = "", **fields: Any) -> Ack:
        """Any message of the supervisor's port but jog; gives its ack, also when it was refused.

        Sent again, with the same id, when the connection breaks off: it happens once. `if_match`:
        only if what the act is about is still what that tag (`tag()`) was of; else ABORTED.
        """
        message = {"type": kind, "id": new_id(), **fields}
        headers = {"Idempotency-Key": str(message["id"])}
        if if_match:
            headers["If-Match"] = if_match
        try:
            try:
                data, _ = self._exchange("POST", "/api/v1/feedback", message, headers)
            except _Broken:
                data, _ = self._exchange("POST", "/api/v1/feedback", message, headers)
        except _Refused as refused:
            try:
                return ack_of(self._object(refused.body))
            except NudgeError:
                raise refused from None
        return ack_of(self._object(data))

    # ---- HTTP ------------------------------------------------------------------------------------

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> bytes:
        kept = self._kept.get(path) if method == "GET" else None
        headers = {"If-None-Match": kept[0]} if kept else {}
        try:
            found, tag = self._exchange(method, path, body, headers)
        except _Refused as refused:
            if kept and refused.status == 304:
                return kept[1]
            raise
        if method == "GET":
            with self._guard:
                self._kept.pop(path, None)
                if tag and len(found) <= _LONGEST_KEPT:
                    while len(self._kept) >= _MOST_KEPT:
                        del self._kept[next(iter(self._kept))]
                    self._kept[path] = (tag, found)
        return found

    def _exchange(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        more: Mapping[str, str] | None = None,
    ) -> tuple[bytes, str]:
        """The content of a 200, and its tag."""
        headers = {"Authorization": f"Bearer {self._token}", **(more or {})}
        data = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            data = json.dumps(body).encode()
        request = urllib.request.Request(
            self.address + path, data=data, headers=headers, method=method
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as answer:
                found: bytes = answer.read(_LONGEST_ANSWER + 1)
                tag = str(answer.headers.get("ETag") or "")
        except urllib.error.HTTPError as error:
            with error:
                raise _Refused(error.code, path, error.read(_LONGEST_ANSWER)) from None
        except (urllib.error.URLError, TimeoutError) as error:
            raise NudgeError(
                Code.UNAVAILABLE, f"no daemon answers at {self.address}: {error}"
            ) from None
        except (OSError, http.client.HTTPException) as error:
            raise _Broken(
                Code.UNAVAILABLE, f"{self.address} broke off in the middle of an answer: {error!r}"
            ) from None
        if len(found) > _LONGEST_ANSWER:
            raise NudgeError(Code.RESOURCE_EXHAUSTED, f"{path}: the answer is above 64 MiB")
        return found, tag

    def _object(self, data: bytes) -> dict[str, Any]:
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise NudgeError(Code.DATA_LOSS, f"{self.address} answered with what is no JSON object")
        return found


class _Broken(NudgeError):
    """The connection was there, and ended before the answer had."""


class _Refused(NudgeError):
    """The daemon answered with an error."""

    def __init__(self, status: int, path: str, body: bytes) -> None:
        self.status, self.body = status, body
        detail = ""
        try:
            problem = json.loads(body)
            if isinstance(problem, dict):
                detail = str(problem.get("detail") or problem.get("title") or "")
        except (ValueError, RecursionError):
            pass
        super().__init__(
            _CODES.get(status, Code.INTERNAL), f"{path}: {detail or 'refused'} ({status})"
        )
