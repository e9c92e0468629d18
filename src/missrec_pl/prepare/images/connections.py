"""urllib3 connections that go to checked addresses alone."""

import socket

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, PoolManager, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError
from urllib3.util.connection import create_connection

from missrec_pl.prepare.images.addresses import resolved


def _connected(connection: HTTPConnection, *, allow_private: bool) -> socket.socket:
    """A socket to one of the host's checked addresses; TLS still checks the certificate against its name."""
    try:
        addresses = resolved(connection.host, connection.port, allow_private=allow_private)
    except OSError as error:
        raise NameResolutionError(connection.host, connection, error) from error  # type: ignore[arg-type]
    problem: OSError = OSError("no address")
    for address in addresses:
        try:
            return create_connection(
                (address, connection.port),
                connection.timeout,
                source_address=connection.source_address,
                socket_options=connection.socket_options,
            )
        except OSError as error:
            problem = error
    if isinstance(problem, TimeoutError):
        raise ConnectTimeoutError(connection, f"{connection.host} does not answer") from problem
    raise NewConnectionError(connection, f"no connection: {problem}") from problem


class _Checked:
    """Connects to addresses that were looked at."""

    allow_private = False

    def _new_conn(self) -> socket.socket:
        return _connected(self, allow_private=self.allow_private)  # type: ignore[arg-type]


class _Http(_Checked, HTTPConnection):
    pass


class _Https(_Checked, HTTPSConnection):
    pass


class _PrivateHttp(_Http):
    allow_private = True


class _PrivateHttps(_Https):
    allow_private = True


class _HttpPool(HTTPConnectionPool):
    ConnectionCls = _Http


class _HttpsPool(HTTPSConnectionPool):
    ConnectionCls = _Https


class _PrivateHttpPool(HTTPConnectionPool):
    ConnectionCls = _PrivateHttp


class _PrivateHttpsPool(HTTPSConnectionPool):
    ConnectionCls = _PrivateHttps


def checked_pool(*, timeout_s: float, per_host: int, allow_private: bool) -> PoolManager:
    """A pool that follows no redirect and reads no proxy settings: every address that it connects to was checked.

    Args:
        timeout_s: Longest wait, in seconds, for a connection or for the next bytes.
        per_host: Connections kept for one host.
        allow_private: Whether addresses that are not public are allowed.
    """
    pool = PoolManager(
        num_pools=64,
        maxsize=per_host,
        timeout=Timeout(timeout_s),
        headers={"User-Agent": "missrec-pl", "Accept": "image/*"},
        retries=False,
    )
    pool.pool_classes_by_scheme = (
        {"http": _PrivateHttpPool, "https": _PrivateHttpsPool}
        if allow_private
        else {"http": _HttpPool, "https": _HttpsPool}
    )
    return pool
