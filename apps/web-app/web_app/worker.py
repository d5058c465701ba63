"""The worker: does one job after another. On SIGTERM it finishes the current one and ends."""

import logging
import signal
import socket
import threading
import time
from pathlib import Path

import redis

from .store import LEASE, Store
from .work import Refused, perform

log = logging.getLogger("worker")

# Seconds that a job may take. After that its worker counts as hung: its lease expires and its liveness probe fails.
LONGEST_JOB = 300


class Worker:
    def __init__(self, store, name, alive):
        self.store, self.name, self.alive = store, name, alive
        self.stopping = threading.Event()
        self.busy_since = None

    def run(self):
        threading.Thread(target=self.keep_lease, daemon=True).start()
        log.info("%s takes jobs", self.name)
        complained = False
        while not self.stopping.is_set():
            try:
                self.alive.touch()
                self.store.renew(self.name)
                for job_id in self.store.recover():
                    log.warning("job %s was a lost worker's and is queued again", job_id)
                self.work(wait=2)
                complained = False
            except redis.RedisError as problem:
                # Redis is unreachable or being restored; jobs that were taken stay in their list.
                if not complained:
                    log.warning("Redis: %s; trying again", problem)
                complained = True
                self.stopping.wait(1)
        self.store.leave(self.name)
        log.info("%s has stopped", self.name)

    def work(self, wait):
        """Does the next job, if one comes within `wait` seconds."""
        job_id = self.store.take(self.name, wait)
        job = job_id and self.store.begin(self.name, job_id)
        if not job:
            return
        self.busy_since = time.monotonic()
        try:
            result, error = perform(job["kind"], job["parameters"], self.store), None
        except redis.RedisError:
            raise
        except Refused as problem:
            result, error = None, str(problem)
        except Exception as problem:
            log.exception("job %s", job_id)
            result, error = None, f"{type(problem).__name__}: {problem}"
        finally:
            self.busy_since = None
        self.store.finish(self.name, job_id, result, error)
        log.info("job %s: %s", job_id, error or "done")

    def keep_lease(self):
        """Renews the lease while a job takes longer than it lasts."""
        while True:
            time.sleep(LEASE / 3)
            since = self.busy_since
            if since and time.monotonic() - since < LONGEST_JOB:
                self.alive.touch()
                try:
                    self.store.renew(self.name)
                except redis.RedisError:
                    pass  # `run` logs it at the next job.


def main():
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    worker = Worker(Store(), socket.gethostname(), Path("/tmp/alive"))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stopping.set())
    worker.run()


if __name__ == "__main__":
    main()
