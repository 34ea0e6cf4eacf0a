"""The service as a process: how it starts, what it says, how it ends."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx2 as httpx
import psycopg
import pytest

SERVICE = Path(__file__).resolve().parents[1]
KERNEL = SERVICE.parent / "shared-kernel" / "python"


class Process:
    def __init__(self, environment):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._running = subprocess.Popen(
            [sys.executable, "-m", "ai_engine"],
            cwd=SERVICE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(KERNEL), "PORT": str(self.port), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def wait_for(self, path, status, seconds=15):
        end = time.monotonic() + seconds
        last = None
        while time.monotonic() < end and self._running.poll() is None:
            try:
                last = httpx.get(self.url + path, timeout=5)
                if last.status_code == status:
                    return last
            except httpx.TransportError as error:
                last = error
            time.sleep(0.02)
        pytest.fail(f"{path} did not become {status} in {seconds} s: {getattr(last, 'text', last)}")

    def signal(self, number):
        self._running.send_signal(number)

    def finish(self, seconds=15):
        """Exit code and log lines; every line must be one JSON object."""
        out, _ = self._running.communicate(timeout=seconds)
        return self._running.returncode, [json.loads(line) for line in out.splitlines()]

    def end(self):
        if self._running.poll() is None:
            self._running.kill()
            self._running.communicate()


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@pytest.fixture
def start():
    started = []

    def start(environment):
        started.append(Process(environment))
        return started[-1]

    yield start
    for process in started:
        process.end()


def test_it_starts_without_a_database_and_says_why_it_is_not_ready(start):
    process = start({"DATABASE_URL": f"postgres://app:hunter2@127.0.0.1:{free_port()}/vital"})
    process.wait_for("/healthz", 200)
    response = process.wait_for("/readyz", 503)
    (check,) = response.json()["checks"]
    assert check["name"] == "database"
    assert "refused" in check["detail"]
    answers = httpx.post(process.url + "/v1/answers", json={"question": "x"}, timeout=20)
    assert answers.status_code == 503
    process.signal(signal.SIGTERM)
    code, lines = process.finish()
    assert code == 0
    assert "hunter2" not in json.dumps(lines) + response.text + answers.text


@pytest.mark.parametrize("url", ["", "postgres://app:hunter2@host:port:1/d?what"])
def test_a_wrong_configuration_is_one_line_and_exit_1(start, url):
    code, (line,) = start({"DATABASE_URL": url}).finish()
    assert (code, line["level"]) == (1, "fatal")
    assert "`DATABASE_URL`" in line["message"]
    assert "hunter2" not in json.dumps(line)


def test_a_port_that_is_taken_is_an_error_and_exit_1(start):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start({"DATABASE_URL": "postgres://app@127.0.0.1:1/d", "PORT": str(taken.getsockname()[1])})
        code, lines = process.finish()
    assert code == 1
    assert "address already in use" in lines[-1]["message"]
    assert "started" not in [line["message"] for line in lines]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_running_request_is_finished_before_the_end(start, environment, lock_passages, number):
    process = start(environment)
    process.wait_for("/readyz", 200)
    responses = []

    def ask():
        responses.append(httpx.post(process.url + "/v1/answers", json={"question": "backup"}, timeout=20))

    with lock_passages() as until_one_waits:
        asking = threading.Thread(target=ask)
        asking.start()
        until_one_waits()
        process.signal(number)
        refused_by = time.monotonic() + 5
        while time.monotonic() < refused_by:
            try:
                httpx.get(process.url + "/healthz", timeout=2)
            except httpx.TransportError:
                break
            time.sleep(0.02)
        else:
            pytest.fail("new connections are still accepted 5 s after the signal")
        assert not responses
    asking.join(10)
    assert responses[0].status_code == 200
    assert responses[0].json()["answers"]
    code, lines = process.finish()
    assert code == 0
    assert lines[-1]["message"] == "stopped"


def test_a_request_that_takes_too_long_does_not_hold_up_the_end(start, environment, lock_passages):
    process = start({**environment, "SERVICE_SETTINGS": '{"shutdown_seconds": 1, "statement_seconds": 60}'})
    process.wait_for("/readyz", 200)
    with lock_passages() as until_one_waits:
        asking = threading.Thread(target=_ignoring_errors, args=(process.url,))
        asking.start()
        until_one_waits()
        began = time.monotonic()
        process.signal(signal.SIGTERM)
        code, _ = process.finish()
        assert time.monotonic() - began < 8
    asking.join(10)
    assert code == 0


def _ignoring_errors(url):
    with contextlib.suppress(httpx.TransportError):
        httpx.post(url + "/v1/answers", json={"question": "backup"}, timeout=20)


def test_connections_that_the_server_closed_are_replaced(start, environment, owner_url, owner):
    process = start(environment)
    process.wait_for("/readyz", 200)
    for _ in range(3):
        owner.execute("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'ai-engine'")
        response = httpx.post(process.url + "/v1/answers", json={"question": "backup"}, timeout=20)
        assert response.status_code == 200, response.text
    with psycopg.connect(owner_url):
        assert process.wait_for("/readyz", 200)


def test_a_log_line_names_the_request_and_nothing_that_is_secret(start, environment):
    process = start({**environment, "ENVIRONMENT": "staging", "SERVICE_VERSION": "v1"})
    process.wait_for("/readyz", 200)
    headers = {"x-request-id": "r-42", "authorization": "Bearer hunter2"}
    httpx.post(process.url + "/v1/answers?key=hunter2", json={"question": "hunter2"}, headers=headers, timeout=20)
    process.signal(signal.SIGTERM)
    _, lines = process.finish()
    (line,) = [line for line in lines if line["message"] == "request"]
    assert "hunter2" not in json.dumps(lines)
    assert {key: line[key] for key in ("service", "environment", "version", "request_id", "route", "status")} == {
        "service": "ai-engine",
        "environment": "staging",
        "version": "v1",
        "request_id": "r-42",
        "route": "/v1/answers",
        "status": 200,
    }
