"""Asking the `pygent up` that runs: for `pygent logs` and `pygent top`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pygent_shared.errors import CallerError, PeerError

if TYPE_CHECKING:
    import httpx

    from pygent_shared.settings import Settings


class NothingRuns(PeerError):
    """No `pygent up` answers where it would be asked."""

    def __init__(self, address: str, only: str) -> None:
        super().__init__(
            f"No pygent up answers on {address}, and only that {only}. "
            "Start it: pygent up — or name its port: --port N; to see what is wrong: pygent doctor"
        )


class TokenRefused(CallerError):
    """The running `pygent up` has another token than the one in this data folder."""

    def __init__(self, address: str) -> None:
        super().__init__(
            f"The pygent up on {address} does not take this token. "
            "Name the data folder it was started with: --data-dir FOLDER, or set PYGENT_TOKEN"
        )


class Running:
    """A `pygent up` at the address of these settings. Used as a context manager, it keeps its connection.

    Args:
        only: what only a running one does, to say where none runs.
    """

    def __init__(self, settings: Settings, only: str) -> None:
        import httpx

        from pygent_shared.http.token import token_file

        path = token_file(settings)
        token = settings.token or (path.read_text(encoding="utf-8").strip() if path.exists() else "")
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self.address = f"http://{host}:{settings.port}"
        self._only = only
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy named in the environment is not asked about this machine.
        self._http = httpx.Client(base_url=self.address, timeout=10, trust_env=False)
        self._known = False

    def __enter__(self) -> Running:
        return self

    def __exit__(self, *error: object) -> None:
        self._http.close()

    def ask(self, path: str) -> tuple[int, Any]:
        """The status and the JSON document at a path.

        Raises:
            NothingRuns, TokenRefused: it cannot be asked.
        """
        import httpx

        try:
            if not self._known:  # the token is for no other program
                self._known = self._http.get("/health/live").json().get("program") == "pygent"
            if not self._known:
                raise NothingRuns(self.address, self._only)
            answer: httpx.Response = self._http.get(path, headers=self._headers)
            if answer.status_code in (401, 403):
                raise TokenRefused(self.address)
            return answer.status_code, answer.json()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, AttributeError) as error:
            raise NothingRuns(self.address, self._only) from error
