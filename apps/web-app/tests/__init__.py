"""Helpers of the tests."""

import fakeredis

from web_app.store import Store


def imitation():
    """A new store, and the fake server that it is in."""
    server = fakeredis.FakeServer()

    def client(database):
        made = fakeredis.FakeRedis(server=server, db=database, decode_responses=True)
        # A database's clock is 1970 until the first command of a client.
        made.ping()
        return made

    return Store(client), server
