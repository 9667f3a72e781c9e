from __future__ import annotations

import shutil
import ssl
import subprocess
import threading
from typing import TYPE_CHECKING

import pytest

from genii.errors import GeniiError
from genii.gearman.client import Client
from genii.gearman.tls import client_context, server_context
from genii.gearman.worker import Worker
from genii.testing.job_server import job_servers

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def identity(tmp_path: Path) -> tuple[Path, Path]:
    """Make a certificate for 127.0.0.1 that is its own authority; return it and its key."""
    program = shutil.which("openssl")
    if program is None:
        pytest.skip("openssl is not here to make a certificate")
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", str(key), "-out", str(certificate)]
    subprocess.run([program, "req", "-x509", *kind, *names, *files], capture_output=True, check=True)
    return certificate, key


def test_jobs_run_over_tls_with_certificates_on_both_sides(identity: tuple[Path, Path]) -> None:
    certificate, key = identity
    mine = client_context(certificate, certificate, key)
    with job_servers() as start:
        server = start(context=server_context(certificate, key, certificate))
        worker = Worker(server.address, tls=mine)
        worker.register(lambda data: data[::-1], "reverse")
        thread = threading.Thread(target=worker.run, kwargs={"signals": False}, daemon=True)
        thread.start()
        payload = bytes(range(256)) * 8000
        with Client(server.address, timeout=20, tls=mine) as client:
            assert client.call("reverse", b"hello") == b"olleh"
            assert client.call("reverse", payload) == payload[::-1]
            assert list(client.map("reverse", [b"%03d" % n for n in range(200)]))[123] == b"321"
        worker.stop()
        thread.join(20)
        assert not thread.is_alive()


def test_a_client_without_certificate_or_tls_gets_nowhere(identity: tuple[Path, Path]) -> None:
    certificate, key = identity
    with job_servers() as start:
        server = start(context=server_context(certificate, key, certificate))
        with Client(server.address, timeout=5, tls=client_context(certificate)) as client, pytest.raises(GeniiError):
            client.echo()
        with Client(server.address, timeout=5) as client, pytest.raises(GeniiError):
            client.echo()
        mine = client_context(certificate, certificate, key)
        with Client(server.address, timeout=20, tls=mine) as client:
            assert client.echo(b"hello") == b"hello"
            assert len(server.server.broker.peers) <= 2


def test_an_unknown_authority_is_refused_by_the_client(identity: tuple[Path, Path]) -> None:
    certificate, key = identity
    with job_servers() as start:
        server = start(context=server_context(certificate, key, None))
        with Client(server.address, timeout=5, tls=ssl.create_default_context()) as client, pytest.raises(GeniiError):
            client.echo()
