"""Proves that no job is lost, even if a server or worker stops in the middle. Redis is an imitation; the cluster tests kill real workers."""

import tempfile
import threading
import unittest
from pathlib import Path
from unittest import mock

import redis

from tests import imitation
from web_app import store as stores
from web_app.store import ATTEMPTS, JOBS, QUEUE, RESULTS
from web_app.worker import Worker


class QueueTest(unittest.TestCase):
    def setUp(self):
        self.store, _ = imitation()

    def submit(self):
        return self.store.submit("wait", {"seconds": 0})["id"]

    def worker(self, name):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return Worker(self.store, name, Path(folder.name, "alive"))

    def lose(self, name):
        """The expiry of a lost worker's lease."""
        self.store.queue.delete(f"lease:{name}")

    def queued(self):
        return self.store.queue.lrange("queue", 0, -1)

    def test_a_connection_stays_on_its_own_database(self):
        job_id = self.submit()
        self.store.renew("one")
        self.store.finish("one", self.store.take("one", 1), result={})
        self.assertEqual(self.store.queue.keys("*"), ["lease:one"])
        self.assertEqual(sorted(self.store.all_jobs.keys("*")), [f"job:{job_id}", "submitted"])
        self.assertEqual(self.store.results.keys("*"), [f"result:{job_id}"])
        self.assertEqual(self.store.data.keys("*"), [])

    def test_jobs_are_taken_in_their_order(self):
        ids = [self.submit() for _ in range(3)]
        taken = []
        for _ in ids:
            taken.append(self.store.take("one", 1))
            self.store.finish("one", taken[-1], result={})
        self.assertEqual(taken, ids)
        self.assertIsNone(self.store.take("one", 0.01))

    def test_what_a_lost_worker_has_taken_is_done_next(self):
        first, second = self.submit(), self.submit()
        self.store.renew("lost")
        self.store.begin("lost", self.store.take("lost", 1))
        self.assertEqual(self.store.recover(), [])
        self.lose("lost")
        self.assertEqual(self.store.recover(), [first])
        self.assertEqual(self.queued(), [second, first])
        self.worker("other").work(wait=1)
        job = self.store.job(first)
        self.assertEqual((job["status"], job["worker"], job["attempts"]), ("done", "other", 2))
        self.assertEqual(self.store.recover(), [])

    def test_a_worker_that_is_lost_before_it_has_begun_loses_nothing(self):
        job_id = self.submit()
        self.store.take("lost", 1)
        self.assertEqual(self.store.recover(), [job_id])
        self.assertEqual(self.queued(), [job_id])

    def test_an_answer_that_was_lost_leaves_no_job_behind(self):
        job_id = self.submit()
        self.store.take("one", 1)
        self.assertEqual(self.store.take("one", 0.01), job_id)

    def test_a_job_that_two_have_done_is_done_once_more_and_no_further(self):
        job_id = self.submit()
        self.store.begin("slow", self.store.take("slow", 1))
        self.store.recover()
        self.worker("other").work(wait=1)
        self.store.finish("slow", job_id, result={"waited": 0})
        self.assertEqual(self.store.result(job_id), {"waited": 0})
        self.store.queue.lpush("queue", job_id)
        self.worker("third").work(wait=1)
        self.assertEqual(self.store.job(job_id)["attempts"], 2)
        self.assertEqual(self.store.queue.keys("taken:*"), [])

    def test_a_job_that_takes_its_workers_along_is_given_up(self):
        job_id = self.submit()
        for _ in range(ATTEMPTS):
            self.assertTrue(self.store.begin("lost", self.store.take("lost", 1)))
            self.store.recover()
        self.worker("last").work(wait=1)
        job = self.store.job(job_id)
        self.assertEqual((job["status"], job["error"]), ("failed", "given up: 5 workers were lost while they did it"))
        self.assertEqual(self.queued(), [])

    def test_an_id_without_a_job_is_dropped(self):
        self.store.queue.lpush("queue", "nothing")
        self.worker("one").work(wait=1)
        self.assertEqual(self.store.queue.keys("*"), [])
        self.assertIsNone(self.store.job("nothing"))

    def test_a_job_that_a_restored_backup_does_not_know_leaves_nothing(self):
        job_id = self.submit()
        self.store.begin("one", self.store.take("one", 1))
        self.store.all_jobs.flushdb()
        self.store.finish("one", job_id, result={})
        for client in (self.store.queue, self.store.all_jobs, self.store.results):
            self.assertEqual(client.keys("*"), [])

    def test_what_is_done_goes_by_itself_after_a_while(self):
        job_id = self.submit()
        self.assertEqual(self.store.all_jobs.ttl(f"job:{job_id}"), -1)
        self.worker("one").work(wait=1)
        for client, key in [(self.store.all_jobs, f"job:{job_id}"), (self.store.results, f"result:{job_id}")]:
            self.assertAlmostEqual(client.ttl(key), stores.KEEP, delta=5)
        self.store.all_jobs.delete(f"job:{job_id}")
        self.assertEqual(self.store.jobs(10, 100), ([], 0))

    def test_two_hundred_jobs_and_three_workers_one_of_which_is_lost(self):
        ids = {self.submit() for _ in range(200)}
        lost = self.worker("lost")
        for _ in range(20):
            lost.work(wait=1)
        self.store.begin("lost", self.store.take("lost", 1))
        self.lose("lost")
        workers = [self.worker(name) for name in ("one", "two")]
        threads = [threading.Thread(target=worker.run) for worker in workers]
        with self.assertLogs("worker"):
            for thread in threads:
                thread.start()
            while any(self.store.job(job_id)["status"] != "done" for job_id in ids):
                threads[0].join(timeout=0.05)
            for worker in workers:
                worker.stopping.set()
            for thread in threads:
                thread.join()
        self.assertEqual(len(self.store.results.keys("*")), 200)
        self.assertEqual(self.store.queue.keys("*"), [])

    def test_a_worker_waits_for_redis_and_goes_on(self):
        self.submit()
        worker = self.worker("one")
        away = [redis.ConnectionError("away"), redis.exceptions.ReadOnlyError("READONLY")]
        worker.stopping = mock.Mock(is_set=mock.Mock(side_effect=[False, False, False, True]))
        with mock.patch.object(self.store, "recover", side_effect=[*away, []]), self.assertLogs("worker") as logs:
            worker.run()
        self.assertEqual(sum("trying again" in line for line in logs.output), 1)
        self.assertEqual(len(self.store.results.keys("*")), 1)
        self.assertTrue(worker.alive.exists())

    def test_databases_are_the_agreed_ones(self):
        self.assertEqual((stores.DATA, QUEUE, JOBS, RESULTS), (0, 1, 2, 3))


if __name__ == "__main__":
    unittest.main()
