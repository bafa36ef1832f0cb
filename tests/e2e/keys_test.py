#!/usr/bin/env python3
"""keys_test.py FATHOM MODEL

Who may use a server and what it cost them: keys made and revoked beside a running server, limits, budget, the ledger
after a crash, TLS, and what is refused beyond this machine. Standard library only (and openssl for a certificate); the
last line is "N passed, N failed".
"""
import http.client
import json
import pathlib
import re
import signal
import ssl
import subprocess
import sys
import tempfile

from outcome import Outcome, tests_of
from serving import Home, Server


def test_the_first_key_closes_the_api_and_not_the_page(home):
    with Server(home) as server:
        assert server.chat()[0] == 200
        key = home.add_key("ada")
        assert re.fullmatch(r"sk-fathom-[\w-]{43}", key), key
        status, _, answer = server.chat()
        assert status == 401 and answer["error"]["code"] == "invalid_api_key", answer
        assert server.chat(key)[0] == 200 and server.chat(key + "x")[0] == 401
        assert server.ask("/")[0] == 200 and server.ask("/health")[0] == 200
        home.run("keys", "add", "bob")
        assert "ada: revoked" in home.run("keys", "revoke", "ada")
        assert server.chat(key)[0] == 401
    listed = home.run("keys", "list")
    assert key not in listed and "revoked" in listed and "bob" in listed, listed
    assert "no key" in home.run("keys", "revoke", "ada", status=1)


def test_what_a_key_used_is_counted_with_its_streams(home):
    key = home.add_key("ada")
    with Server(home) as server:
        _, _, first = server.chat(key, 5)
        _, _, text = server.chat(key, 7, stream=True)
        used = json.loads([line for line in text.splitlines() if '"usage":{' in line][-1][6:])["usage"]
        row, = home.usage()
        assert row["key"] == "ada" and row["requests"] == 2 and row["output_tokens"] == 12, row
        prompts = first["usage"]["prompt_tokens"] + used["prompt_tokens"]
        assert row["cache_hit_tokens"] + row["cache_miss_tokens"] == prompts, (row, first, used)


def test_limits_are_kept(home):
    key = home.add_key("ada", "--requests", "2")
    with Server(home) as server:
        assert [server.chat(key)[0] for _ in range(3)] == [200, 200, 429]
        status, headers, answer = server.chat(key)
        assert status == 429 and 1 <= int(headers["Retry-After"]) <= 60 and "2 requests a minute" in answer["error"]["message"]
        home.run("keys", "limit", "ada", "--requests", "0", "--concurrent", "1")
        assert server.chat(key)[0] == 200 and server.chat(key, n=2)[0] == 429


def test_a_budget_ends(home):
    key = home.add_key("ada", "--budget", "0.00001")
    (home.folder / "fathom.toml").write_text('[prices]\ncurrency = "CNY"\noutput = 2.0\n')
    with Server(home, "--config", str(home.folder / "fathom.toml")) as server:
        status, _, balance = server.ask("/user/balance", key=key)
        balance = json.loads(balance)
        assert balance["is_available"] and balance["balance_infos"][0]["currency"] == "CNY", balance
        assert server.chat(key, 6)[0] == 200
        status, _, answer = server.chat(key)
        assert status == 402 and "budget" in answer["error"]["message"], answer
        assert not json.loads(server.ask("/user/balance", key=key)[2])["is_available"]
    assert home.usage()[0]["money"] == "0.000012"


def test_what_was_reported_is_in_the_ledger_after_a_crash(home):
    key = home.add_key("ada")
    reported = 0
    for _ in range(3):
        with Server(home) as server:
            reported += server.chat(key, 3)[2]["usage"]["completion_tokens"]
            server.process.send_signal(signal.SIGKILL)
    assert sum(row["output_tokens"] for row in home.usage()) == reported == 9


def test_another_keys_text_is_no_hit(home):
    ada, bob = home.add_key("ada"), home.add_key("bob")
    text = [{"role": "user", "content": "A long text about rivers and the sea. " * 20}]
    with Server(home) as server:
        hits = [server.chat(key, messages=text)[2]["usage"]["prompt_cache_hit_tokens"] for key in (ada, ada, bob)]
    assert hits[0] == 0 and hits[1] > 0 and hits[2] == 0, hits


def test_other_machines_need_a_key_and_encryption(home):
    said = home.run("serve", home.model, "--host", "0.0.0.0", "--port", "0", status=1)
    for words in ("fathom keys add", "--tls-cert", "--proxy", "--open"):
        assert words in said, said
    home.add_key("ada")
    said = home.run("serve", home.model, "--host", "0.0.0.0", "--port", "0", status=1)
    assert "fathom keys add" not in said and "--tls-cert" in said, said
    with Server(home, "--host", "0.0.0.0", "--proxy", "https://chat.example.com") as server:
        assert server.chat()[0] == 401
    with Server(home, "--host", "0.0.0.0", "--open") as server:
        assert server.ask("/health")[0] == 200


def test_tls(home):
    certificate, key = home.folder / "cert.pem", home.folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-days", "2",
                    "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate], check=True, capture_output=True)
    secret = home.add_key("ada")
    trusted = ssl.create_default_context(cafile=certificate)
    with Server(home, "--host", "0.0.0.0", "--tls-cert", str(certificate), "--tls-key", str(key), tls=trusted) as server:
        assert server.chat(secret)[0] == 200
        assert server.chat(secret, 20, stream=True)[2].rstrip().endswith("data: [DONE]")
        assert server.chat()[0] == 401
        server.tls = None
        try:
            server.ask("/health")
            raise AssertionError("plain HTTP was answered")
        except (http.client.HTTPException, OSError):
            pass
    assert "--tls-cert" in home.run("serve", home.model, "--port", "0", "--tls-cert", str(key), "--tls-key", str(key), status=1)


def main():
    fathom, model = (str(pathlib.Path(word).resolve()) for word in sys.argv[1:3])
    outcome = Outcome()
    for name, test in tests_of(globals(), sys.argv[3:]):
        with tempfile.TemporaryDirectory() as folder:
            outcome.attempt(name, lambda: test(Home(fathom, model, folder)))
    outcome.end()


if __name__ == "__main__":
    main()
