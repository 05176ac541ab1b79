"""`flowd dev` and its private PostgreSQL when things go wrong.

Full disks, deaths of either, folders that cannot be entered, settings that are wrong.
"""

import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
import unittest
import urllib.error
import urllib.request

FLOWD = os.environ["SLUICE_FLOWD"]
PROGRAM = {"t.flow": """module t
event E { n: int }
event Done { n: int }
topic es of E { order by client }
flow f(e: E) -> Done on es timeout 1m { return Done { n: e.n } }
on failure (why) { return Done { n: 0 } }
"""}


class Flowd:
    """One `flowd dev` over a data folder; `ready` is its first line, empty if it ended before."""

    def __init__(self, data, environment=None):
        self.data = data
        log = os.path.join(tempfile.gettempdir(), f"flowd-dev-test-{os.getpid()}.log")
        self.log = open(log, "a+")
        FlowdDev.opened.append(self.log)
        self.log_begin = self.log.seek(0, os.SEEK_END)
        self.began = time.monotonic()
        command = [FLOWD, "dev", "--data", data, "--listen", "127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, text=True,
                                        env={**os.environ, **(environment or {})})
        self.ready = self.process.stdout.readline().strip()
        self.seconds = time.monotonic() - self.began
        self.url = self.ready.removeprefix("ready ")

    def errors(self):
        self.log.flush()
        with open(self.log.name) as log:
            log.seek(self.log_begin)
            return log.read()

    def token(self, *arguments):
        command = [FLOWD, "token", "--data", self.data, *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    def call(self, path, body=None, token=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data=data)
        request.add_header("Content-Type", "application/json")
        if token:
            request.add_header("Authorization", "Bearer " + token)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)

    def postgres(self):
        with open(os.path.join(self.data, "postgres/postmaster.pid")) as file:
            return int(file.readline())

    def wait(self):
        code = self.process.wait(60)
        self.process.stdout.close()
        return code

    def stop(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        return self.wait()


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(what, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if what():
            return True
        time.sleep(0.05)
    return False


class FlowdDev(unittest.TestCase):
    opened = []

    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="sluice-dev-")
        os.chmod(self.folder, 0o755)
        self.data = os.path.join(self.folder, "data")
        self.mounted = False

    def tearDown(self):
        while self.opened:
            self.opened.pop().close()
        # What a failed test left running is found by its data folder only.
        path = os.path.join(self.data, "postgres/postmaster.pid")
        if os.path.exists(path):
            with open(path) as file:
                pid = int(file.readline())
            ours = os.path.realpath(os.path.join(self.data, "postgres"))
            if os.path.realpath(f"/proc/{pid}/cwd") == ours:
                os.kill(pid, signal.SIGINT)
                wait_until(lambda: not alive(pid), 20)
        if self.mounted:
            subprocess.run(["umount", self.folder], check=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    def small_disk(self, megabytes):
        options = f"size={megabytes}m,mode=755"
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder]
        done = subprocess.run(command, capture_output=True)
        if done.returncode != 0:
            self.skipTest("a small disk cannot be mounted here")
        self.mounted = True

    def start(self):
        flowd = Flowd(self.data)
        self.assertTrue(flowd.ready.startswith("ready http://"), flowd.errors())
        return flowd

    def deploy(self, flowd):
        token = flowd.token("--tenant", "*", "--scope", "admin")
        status, answer = flowd.call("/v1/deployments", PROGRAM, token)
        self.assertIn(status, (200, 201), answer)
        return status

    def test_a_disk_too_small_for_a_cluster(self):
        self.small_disk(20)
        flowd = Flowd(self.data)
        self.assertEqual(flowd.ready, "")
        self.assertEqual(flowd.wait(), 1)
        self.assertIn("the disk is full", flowd.errors())
        self.assertFalse(os.path.exists(os.path.join(self.data, "postgres")))

    def test_a_disk_that_fills_up_loses_nothing(self):
        self.small_disk(700)
        flowd = self.start()
        self.deploy(flowd)
        client = flowd.token("--tenant", "t", "--client", "c")
        self.assertEqual(flowd.call("/v1/topics/es/events", {"n": 1}, client)[0], 202)
        self.assertEqual(flowd.stop(), 0)
        filler = os.path.join(self.folder, "filler")
        with open(filler, "wb") as file:
            try:
                while True:
                    file.write(b"x" * 65536)
                    file.flush()
            except OSError:
                pass
        full = Flowd(self.data)
        self.assertEqual(full.ready, "")
        self.assertEqual(full.wait(), 1)
        self.assertIn("the disk is full", full.errors())
        os.unlink(filler)
        again = self.start()
        self.assertEqual(self.deploy(again), 200)  # the same program is still there
        status, runs = again.call("/v1/runs", token=client)
        self.assertEqual((status, len(runs["items"])), (200, 1))
        self.assertEqual(again.stop(), 0)

    def test_a_killed_flowd_is_followed_by_one_that_takes_its_postgres_over(self):
        flowd = self.start()
        self.deploy(flowd)
        server = flowd.postgres()
        flowd.stop(signal.SIGKILL)
        self.assertTrue(alive(server))
        again = self.start()
        self.assertEqual(again.postgres(), server)
        self.assertEqual(self.deploy(again), 200)
        self.assertEqual(again.stop(), 0)
        self.assertFalse(alive(server))

    def test_a_postgres_with_other_settings_is_replaced(self):
        flowd = self.start()
        server = flowd.postgres()
        flowd.stop(signal.SIGKILL)
        with open(os.path.join(self.data, "postgres/postgresql.conf"), "a") as settings:
            settings.write("work_mem = 5MB\n")
        again = self.start()
        self.assertNotEqual(again.postgres(), server)
        self.assertEqual(again.stop(), 0)

    def test_a_killed_postgres_is_started_again(self):
        flowd = self.start()
        self.deploy(flowd)
        client = flowd.token("--tenant", "t", "--client", "c")
        server = flowd.postgres()
        os.kill(server, signal.SIGKILL)
        answered = []

        def accepted():
            status, answer = flowd.call("/v1/topics/es/events", {"n": 1}, client)
            answered.append((status, answer.get("code")))
            return status in (200, 202)

        self.assertTrue(wait_until(accepted, 10), answered)
        for status, code in answered[:-1]:
            self.assertEqual((status, code), (503, "unavailable"))
        # One partition that is back accepts; ready is said when all are.
        self.assertTrue(wait_until(lambda: flowd.call("/readyz")[0] == 200, 10))
        self.assertEqual(flowd.stop(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root runs PostgreSQL as another user")
    def test_a_parent_that_postgres_cannot_enter_is_named(self):
        closed = os.path.join(self.folder, "closed")
        os.mkdir(closed, 0o700)
        flowd = Flowd(os.path.join(closed, "below/data"))
        self.assertEqual(flowd.wait(), 1)
        self.assertIn(f"cannot enter {closed}:", flowd.errors())

    def test_a_folder_whose_path_is_too_long_for_a_socket(self):
        self.data = os.path.join(self.folder, "long-" * 20, "data")
        flowd = self.start()
        self.assertEqual(self.deploy(flowd), 201)
        self.assertEqual(flowd.stop(), 0)

    def test_a_token_is_made_before_flowd_ever_ran(self):
        command = [FLOWD, "token", "--data", self.data, "--tenant", "*", "--scope", "admin"]
        token = subprocess.run(command, capture_output=True, text=True)
        self.assertEqual(token.returncode, 0, token.stderr)
        flowd = self.start()
        self.assertEqual(flowd.call("/v1/deployments", token=token.stdout.strip())[0], 200)
        self.assertEqual(flowd.stop(), 0)

    def test_settings_that_are_wrong_are_named(self):
        flowd = Flowd(self.data, {"SLUICE_LIMITS_PENDIN": "3"})
        self.assertEqual(flowd.wait(), 2)
        self.assertIn("did you mean `SLUICE_LIMITS_PENDING`?", flowd.errors())


if __name__ == "__main__":
    unittest.main(verbosity=2)
