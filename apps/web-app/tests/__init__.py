"""What the tests share."""

import fakeredis

from web_app.store import Store


def imitation():
    """A store of its own, and the server that it is kept in."""
    server = fakeredis.FakeServer()

    def client(database):
        made = fakeredis.FakeRedis(server=server, db=database, decode_responses=True)
        # A database's clock stands at 1970 until a client of it has asked for something.
        made.ping()
        return made

    return Store(client), server
