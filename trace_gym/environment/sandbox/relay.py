"""A relay: passes connections that come in at listening sockets on to somewhere else, in one thread.

Used at both ends of the way out of a sandbox: inside, where it listens on the loopback device, and on the
host. It is also run by the Python of a sandbox: 3.8, standard library only. Leaves out who may connect where.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
from collections.abc import Callable, Mapping

_CHUNK = 1 << 16


def relay(
    doors: Mapping[socket.socket, Callable[[], socket.socket]], *, stop: socket.socket | None = None
) -> None:
    """Serve listening sockets, each with what connects onwards, until `stop` can be read.

    A connection that cannot be made (OSError) is closed at once. Closes all sockets but `stop`.
    """
    with selectors.DefaultSelector() as selector:
        for listener in doors:
            listener.setblocking(False)
            selector.register(listener, selectors.EVENT_READ)
        if stop is not None:
            selector.register(stop, selectors.EVENT_READ)
        try:
            while True:
                for key, events in selector.select():
                    if key.fileobj is stop:
                        return
                    if isinstance(key.data, _Pair):
                        key.data.turn(key.fileobj, events)
                    else:
                        _accept(selector, key.fileobj, doors)
        finally:
            for key in list(selector.get_map().values()):
                if key.fileobj is not stop and isinstance(key.fileobj, socket.socket):
                    key.fileobj.close()


def _accept(
    selector: selectors.BaseSelector,
    listener: object,
    doors: Mapping[socket.socket, Callable[[], socket.socket]],
) -> None:
    if not isinstance(listener, socket.socket):
        return
    with contextlib.suppress(BlockingIOError, ConnectionError):
        near, _ = listener.accept()
        try:
            far = doors[listener]()
        except OSError:
            near.close()
            return
        _Pair(selector, near, far)


class _Pair:
    """Two connected sockets; what comes from one goes to the other, ends included. Lifecycle: registered at
    construction, closed when both have ended or one has failed."""

    def __init__(self, selector: selectors.BaseSelector, near: socket.socket, far: socket.socket) -> None:
        self._selector = selector
        self._other = {near: far, far: near}
        self._waiting = {near: bytearray(), far: bytearray()}
        self._ended: set[socket.socket] = set()
        self._shut: set[socket.socket] = set()
        for end in (near, far):
            end.setblocking(False)
            selector.register(end, selectors.EVENT_READ, self)

    def turn(self, end: object, events: int) -> None:
        """Do what can be done at one end."""
        if not isinstance(end, socket.socket) or end not in self._other:
            return
        other = self._other[end]
        try:
            if events & selectors.EVENT_READ:
                data = end.recv(_CHUNK)
                self._waiting[other] += data
                if not data:
                    self._ended.add(end)
            if events & selectors.EVENT_WRITE and self._waiting[end]:
                del self._waiting[end][: end.send(self._waiting[end])]
            self._pass_ends_on()
        except BlockingIOError:
            pass
        except OSError:
            self._close()
            return
        if len(self._shut) == 2:
            self._close()
            return
        for each in self._other:
            self._watch(each)

    def _pass_ends_on(self) -> None:
        for source in self._ended - {self._other[shut] for shut in self._shut}:
            target = self._other[source]
            if not self._waiting[target]:
                target.shutdown(socket.SHUT_WR)
                self._shut.add(target)

    def _watch(self, end: socket.socket) -> None:
        room = end not in self._ended and len(self._waiting[self._other[end]]) < _CHUNK
        wanted = (selectors.EVENT_READ if room else 0) | (selectors.EVENT_WRITE if self._waiting[end] else 0)
        known = end in self._selector.get_map()
        if known and wanted:
            self._selector.modify(end, wanted, self)
        elif wanted:
            self._selector.register(end, wanted, self)
        elif known:
            self._selector.unregister(end)

    def _close(self) -> None:
        for end in self._other:
            if end in self._selector.get_map():
                self._selector.unregister(end)
            end.close()
        self._other = {}
