"""The data in Redis, and the queue of jobs, which loses none.

The transaction that writes a job also puts its id into the list `queue`. A worker moves it to its list `taken:<worker>` by
one command, and removes it from there in the transaction that writes the result. A worker keeps renewing a lease; when a
lease has expired, the jobs in its worker's list return to the queue. So a job is done at least once, also if a server or
worker is killed; one that is done twice has the same result.
"""

import json
import os
import time
import uuid
from itertools import islice

import redis

# The databases.
DATA, QUEUE, JOBS, RESULTS = range(4)

# Seconds without a renewal after which a worker counts as lost.
LEASE = 15
# Workers that may be lost while they do a job before the job fails.
ATTEMPTS = 5
# Seconds that a job and its results are kept after its end.
KEEP = 7 * 24 * 3600
# Most rows in all. A job on a column has one number for each in memory: 81 MiB, measured with floats and integers.
MOST_STORED_ROWS = 1_000_000
# Most bytes of a stored row, as JSON in ASCII. It limits the size of a chunk of rows.
MOST_ROW_BYTES = 64 << 10
# Rows in a chunk that is read at once: at most 1.6 MB in each thread of a server, and 16 MB in a worker.
SERVER_CHUNK, WORKER_CHUNK = 25, 250
# Seconds by which the clocks of the servers and of Redis may differ.
CLOCK_SKEW = 3600


class Full(Exception):
    """More rows than may be stored."""


def connect(database):
    """A client of one database of the Redis server in the environment."""
    return redis.Redis(
        host=os.environ["REDIS_HOST"],
        port=int(os.environ.get("REDIS_PORT", "6379")),
        password=os.environ["REDIS_PASSWORD"],
        db=database,
        decode_responses=True,
        socket_connect_timeout=5,
        # Longer than a worker waits for a job.
        socket_timeout=10,
        health_check_interval=30,
    )


class Store:
    def __init__(self, client=connect):
        self.data, self.queue, self.all_jobs, self.results = (client(db) for db in (DATA, QUEUE, JOBS, RESULTS))

    def health(self):
        """Raises `RedisError` if Redis does not answer."""
        return {"queued": self.queue.llen("queue"), "workers": len(list(self.queue.scan_iter("lease:*")))}

    # Data: rows in the order in which they came.

    def add_rows(self, texts):
        """Adds rows, each as JSON, and returns how many there are; or adds none and raises `Full`."""

        def add(pipe):
            there = pipe.llen("rows")
            if there + len(texts) > MOST_STORED_ROWS:
                raise Full(there)
            pipe.multi()
            pipe.rpush("rows", *texts)

        # Repeated if another server adds rows between the count and the addition.
        return self.data.transaction(add, "rows")[0]

    def count_rows(self):
        return self.data.llen("rows")

    def rows(self, offset, limit, most_bytes):
        """Up to `limit` rows, and no more once they have `most_bytes` in JSON; the first one in any case."""
        rows = islice(self._rows(offset, SERVER_CHUNK), limit)
        return [json.loads(row) for row in _within(most_bytes, rows, len)]

    def column(self, name):
        """The values of a column, row by row. Reads the rows in chunks: together they may exceed a worker's memory."""
        for text in self._rows(0, WORKER_CHUNK):
            row = json.loads(text)
            if name in row:
                yield row[name]

    def _rows(self, offset, chunk):
        while rows := self.data.lrange("rows", offset, offset + chunk - 1):
            yield from rows
            offset += chunk

    def delete_rows(self):
        with self.data.pipeline() as pipe:
            return pipe.llen("rows").delete("rows").execute()[0]

    # Jobs, for those who submit them.

    def submit(self, kind, parameters):
        job_id = str(uuid.uuid4())
        now = time.time()
        job = {
            "id": job_id,
            "kind": kind,
            "parameters": json.dumps(parameters),
            "status": "queued",
            "submitted": now,
            "attempts": 0,
        }
        with self.queue.pipeline() as pipe:
            pipe.select(JOBS).hset(f"job:{job_id}", mapping=job)
            pipe.zadd("submitted", {job_id: now})
            # The connection returns to the pool with the queue's database selected.
            pipe.select(QUEUE).lpush("queue", job_id)
            pipe.execute()
        return self.job(job_id)

    def job(self, job_id):
        return _readable(self.all_jobs.hgetall(f"job:{job_id}"))

    def jobs(self, limit, most_bytes):
        """The newest jobs, as many as `rows` would return, and how many there are."""
        self.forget_expired()
        listed = islice(self._newest(), limit)
        jobs = [_readable(job) for job in _within(most_bytes, listed, lambda job: len(job["parameters"]))]
        return jobs, self.all_jobs.zcard("submitted")

    def _newest(self):
        start = 0
        while ids := self.all_jobs.zrevrange("submitted", start, start + SERVER_CHUNK - 1):
            with self.all_jobs.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.hgetall(f"job:{job_id}")
                found = pipe.execute()
            yield from filter(None, found)
            gone = [job_id for job_id, job in zip(ids, found) if not job]
            if gone:
                self.all_jobs.zrem("submitted", *gone)
            start += len(ids) - len(gone)

    def forget_expired(self):
        """Removes the ids of expired jobs from the list. Checks only jobs that were submitted more than `KEEP` ago."""
        oldest = self.all_jobs.zrangebyscore("submitted", "-inf", time.time() - KEEP + CLOCK_SKEW)
        for ids in (oldest[i : i + 1000] for i in range(0, len(oldest), 1000)):
            with self.all_jobs.pipeline(transaction=False) as pipe:
                for job_id in ids:
                    pipe.exists(f"job:{job_id}")
                gone = [job_id for job_id, there in zip(ids, pipe.execute()) if not there]
            if gone:
                self.all_jobs.zrem("submitted", *gone)

    def result(self, job_id):
        text = self.results.get(f"result:{job_id}")
        return None if text is None else json.loads(text)

    # Jobs, for workers.

    def renew(self, worker):
        self.queue.set(f"lease:{worker}", "", ex=LEASE)

    def leave(self, worker):
        self.queue.delete(f"lease:{worker}")

    def take(self, worker, wait):
        """The next job's id, or None after `wait` seconds without one."""
        # First a job that was taken by a command whose answer was lost.
        left = self.queue.lindex(f"taken:{worker}", -1)
        return left or self.queue.blmove("queue", f"taken:{worker}", wait, "RIGHT", "LEFT")

    def begin(self, worker, job_id):
        """The job, marked as this worker's; None if it is done, failed or gone."""
        job = self.job(job_id)
        if not job or job["status"] in ("done", "failed"):
            self.queue.lrem(f"taken:{worker}", 1, job_id)
            return None
        if job["attempts"] >= ATTEMPTS:
            self.finish(worker, job_id, error=f"given up: {ATTEMPTS} workers were lost while they did it")
            return None
        mark = {"status": "running", "worker": worker, "started": time.time(), "attempts": job["attempts"] + 1}
        self.all_jobs.hset(f"job:{job_id}", mapping=mark)
        return job | mark

    def finish(self, worker, job_id, result=None, error=None):
        if not self.all_jobs.exists(f"job:{job_id}"):
            # A backup from before the job was restored.
            self.queue.lrem(f"taken:{worker}", 1, job_id)
            return
        end = {"status": "failed" if error else "done", "finished": time.time(), **({"error": error} if error else {})}
        with self.queue.pipeline() as pipe:
            if not error:
                pipe.select(RESULTS).set(f"result:{job_id}", json.dumps(result, allow_nan=False), ex=KEEP)
            pipe.select(JOBS).hset(f"job:{job_id}", mapping=end)
            pipe.expire(f"job:{job_id}", KEEP)
            pipe.select(QUEUE).lrem(f"taken:{worker}", 1, job_id)
            pipe.execute()

    def recover(self):
        """Puts the jobs of lost workers back at the head of the queue. Returns their ids."""
        recovered = []
        for taken in self.queue.scan_iter("taken:*"):
            if self.queue.exists(f"lease:{taken.removeprefix('taken:')}"):
                continue
            while job_id := self.queue.lmove(taken, "queue", "RIGHT", "RIGHT"):
                recovered.append(job_id)
        return recovered


def _within(most_bytes, items, size):
    """The first items, as long as they have no more than `most_bytes` together; the first one in any case."""
    total = 0
    for item in items:
        if total and total + size(item) > most_bytes:
            return
        total += size(item)
        yield item


def _readable(job):
    if not job:
        return None
    types = {"parameters": json.loads, "attempts": int, "submitted": float, "started": float, "finished": float}
    return {key: types.get(key, str)(value) for key, value in job.items()}
