"""A Grafana that runs, through grafana-client (the extra `dashboards`)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from smart_router.dashboards.files import Dashboard
from smart_router.dashboards.trouble import Trouble

DEFAULT_URL = "http://localhost:3000"
TIMEOUT_S = 10.0


@dataclass(frozen=True)
class Stored:
    """A dashboard as Grafana has it; *message* is what its latest version was saved with."""

    dashboard: Dashboard
    version: int
    message: str


class Grafana:
    """
    One Grafana and what a token may do there. Use it in a `with` block, which ends its connections.

    Raises:
        Trouble: from every method; the message says whether address, token or Grafana is at fault.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self._url = _checked(url)
        self._api = _client(self._url, token)

    def __enter__(self) -> Self:
        try:
            self._check()
        except Trouble:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._api.client.s.close()

    def find(self, uid: str) -> Stored | None:
        found = self._ask(lambda: self._api.dashboard.get_dashboard(uid))
        if found is None:
            return None
        dashboard = found["dashboard"]
        version = int(dashboard.get("version") or found["meta"]["version"])
        return Stored(dashboard, version, self._message(uid, version))

    def folder(self, title: str) -> str:
        """The uid of the folder *title*, which is made when it is missing."""
        folders = self._ask(self._api.folder.get_all_folders) or []
        known = next((folder for folder in folders if folder["title"] == title), None)
        return str((known or self._ask(lambda: self._api.folder.create_folder(title)))["uid"])

    def save(self, dashboard: Dashboard, folder: str, message: str, replaces: int | None, overwrite: bool) -> None:
        """Grafana itself refuses when its version is not the one that this *replaces*, unless *overwrite*."""
        body = {
            "dashboard": dashboard | {"id": None} | ({} if replaces is None else {"version": replaces}),
            "folderUid": folder,
            "message": message,
            "overwrite": overwrite,
        }
        if self._ask(lambda: self._api.dashboard.update_dashboard(body)) is None:
            raise Trouble(f"{self._url} did not store {dashboard['title']}: its folder is gone; push again")

    def _check(self) -> None:
        told = self._ask(lambda: self._api.client.GET("/health"))
        if not isinstance(told, dict) or "database" not in told:
            raise Trouble(f"{self._url} answers, but not as a Grafana does; give Grafana's address with --grafana")

    def _message(self, uid: str, version: int) -> str:
        told = self._ask(lambda: self._api.dashboard_versions.get_dashboard_versions_by_uid(uid))
        versions = told.get("versions", []) if isinstance(told, dict) else told or []  # a plain list before Grafana 11
        return next((str(found.get("message") or "") for found in versions if found["version"] == version), "")

    def _ask(self, call: Callable[[], Any]) -> Any:
        """What *call* returns; None where Grafana has no such thing."""
        import requests
        from grafana_client.client import GrafanaException

        try:
            return call()
        except requests.exceptions.JSONDecodeError as exc:
            raise Trouble(f"{self._url} answers, but not as a Grafana does; give its address with --grafana") from exc
        except requests.exceptions.RequestException as exc:
            raise Trouble(
                f"no Grafana answers at {self._url} ({type(exc).__name__}); start it, or give --grafana"
            ) from exc
        except GrafanaException as exc:
            if exc.status_code == 404:
                return None
            raise Trouble(self._explained(exc.status_code, exc.message)) from exc

    def _explained(self, status: int, message: str) -> str:
        if status == 401:
            return f"{self._url} does not know this token; give one of a service account by GRAFANA_TOKEN"
        if status == 403:
            return f"{self._url} does not let this token do that; give its service account the role Editor"
        if status == 412:
            return f"{self._url} refuses: {message}. Somebody was faster; see `smart-router dashboards diff`"
        if "provisioned" in message:
            return f"{self._url} refuses: {message}. It loads this dashboard from files of its own; change those"
        return f"{self._url} refuses: {message}"


def _checked(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Trouble(f"{url!r} is no address of a Grafana; it must look like {DEFAULT_URL}")
    return url.rstrip("/")


def _client(url: str, token: str | None) -> Any:
    try:
        from grafana_client.api import GrafanaApi
    except ImportError as exc:
        raise Trouble("this needs grafana-client; install it by: pip install 'smart-router[dashboards]'") from exc
    return GrafanaApi.from_url(f"{url}/", credential=token, timeout=TIMEOUT_S)
