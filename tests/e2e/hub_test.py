#!/usr/bin/env python3
"""hub_test.py PROGRAM

Pulls models with PROGRAM (hub_pull, see there; `fathom` itself takes longer to give up) from a server on this machine that
behaves as the Hugging Face hub does: listings with digests, redirects to another origin for large files, ranges and ETags;
and as it does on its bad days.
"""
import hashlib
import http.server
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest
import urllib.parse

PROGRAM = sys.argv.pop(1) if len(sys.argv) > 1 else ""
COMMIT = "c" * 40
MEGABYTE = 1 << 20


def some_bytes(seed, size):
    return random.Random(seed).randbytes(size)


class Repo:
    """Files by path, and what is odd about how they are served."""

    def __init__(self, files, small=(), **oddities):
        self.files = files
        self.small = small  # kept by git itself, so the digest is git's and no redirect happens
        self.oddities = oddities
        self.listed_sizes = {}

    def listing(self):
        siblings = []
        for path, data in self.files.items():
            blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
            size = self.listed_sizes.get(path, len(data))
            entry = {"rfilename": path, "size": size, "blobId": blob}
            if path not in self.small:
                entry["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": size, "pointerSize": 134}
            siblings.append(entry)
        return {"id": "o/r", "sha": COMMIT, "siblings": siblings}


class Hub:
    """The hub and, on another port, where it keeps large files. Everything asked is recorded."""

    def __init__(self):
        self.repos = {}
        self.requests = []  # (server, path, headers)
        self.bytes_sent = 0
        self.counts = {}
        self.lock = threading.Lock()
        self.servers = [self.start("hub"), self.start("store")]
        self.endpoint, self.store = (f"http://127.0.0.1:{s.server_port}" for s in self.servers)

    def start(self, kind):
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                with hub.lock:
                    hub.requests.append((kind, self.path, dict(self.headers)))
                try:
                    (hub.answer_hub if kind == "hub" else hub.answer_store)(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        return server

    def stop(self):
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def times(self, key):
        with self.lock:
            self.counts[key] = self.counts.get(key, 0) + 1
            return self.counts[key]

    def plain(self, handler, status, body=b"", **headers):
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    def answer_hub(self, handler):
        url = urllib.parse.urlparse(handler.path)
        parts = urllib.parse.unquote(url.path).strip("/").split("/")
        api = parts[:2] == ["api", "models"]
        name = "/".join(parts[2:4] if api else parts[:2])
        repo = self.repos.get(name)
        if repo is None:
            return self.plain(handler, 404, b"{}", X_Error_Message="Repository not found")
        odd = repo.oddities
        if "token" in odd and handler.headers.get("Authorization") != "Bearer " + odd["token"]:
            return self.plain(handler, 401, b"{}", X_Error_Message="Access is restricted")
        if api:
            if self.times("list " + name) <= odd.get("busy", 0):
                return self.plain(handler, 503, b"", Retry_After="0")
            if parts[5] not in ("main", COMMIT) or url.query != "blobs=true":
                return self.plain(handler, 404, b"{}", X_Error_Message="Invalid rev id")
            return self.plain(handler, 200, odd.get("listing", json.dumps(repo.listing())).encode())
        path = "/".join(parts[4:])
        if parts[2] != "resolve" or parts[3] != COMMIT or path not in repo.files:
            return self.plain(handler, 404)
        if "redirect" in odd:
            return self.plain(handler, 302, Location=odd["redirect"].format(hub=self.endpoint + handler.path))
        if path in repo.small:
            return self.send_file(handler, repo, path)
        where = f"{self.store}/{name}/{urllib.parse.quote(path)}?signed=1"
        sha = hashlib.sha256(repo.files[path]).hexdigest()
        return self.plain(handler, 302, Location=where, X_Linked_Etag=f'"{sha}"')

    def answer_store(self, handler):
        parts = urllib.parse.unquote(urllib.parse.urlparse(handler.path).path).strip("/").split("/")
        self.send_file(handler, self.repos["/".join(parts[:2])], "/".join(parts[2:]))

    def send_file(self, handler, repo, path):
        odd = repo.oddities
        count = self.times("file " + handler.path)
        data = odd.get("served", {}).get(path, repo.files[path])
        etag = '"%s"' % odd.get("etags", {}).get(count, "v1")
        begin, wanted = 0, handler.headers.get("Range")
        if_range = handler.headers.get("If-Range")
        if wanted and not odd.get("no_ranges") and if_range in (None, etag):
            begin = int(wanted.removeprefix("bytes=").rstrip("-"))
            if begin >= len(data):
                return self.plain(handler, 416, b"", Content_Range=f"bytes */{len(data)}")
            handler.send_response(206)
            handler.send_header("Content-Range", f"bytes {begin}-{len(data) - 1}/{len(data)}")
        else:
            handler.send_response(200)
        handler.send_header("ETag", etag)
        handler.send_header("Content-Length", str(len(data) - begin))
        handler.end_headers()
        stop_after = odd.get("cut", {}).get(count, len(data))
        for at in range(begin, min(len(data), begin + stop_after), 65536):
            piece = data[at:min(at + 65536, begin + stop_after)]
            handler.wfile.write(piece)
            with self.lock:
                self.bytes_sent += len(piece)
            time.sleep(odd.get("pause", 0))
        if begin + stop_after < len(data):
            time.sleep(odd.get("silence", 0))
            handler.connection.shutdown(socket.SHUT_RDWR)
            handler.close_connection = True


class HubTest(unittest.TestCase):
    def setUp(self):
        self.hub = Hub()
        self.addCleanup(self.hub.stop)
        folder = tempfile.TemporaryDirectory(prefix="fathom-hub-")
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.models = self.folder / "fathom" / "models"

    def serve(self, name="o/r", files=None, **oddities):
        repo = Repo(files or {"m-Q4_K_M.gguf": some_bytes(1, MEGABYTE)}, **oddities)
        self.hub.repos[name] = repo
        return repo

    def start(self, *words, **environment):
        clean = {k: v for k, v in os.environ.items() if not k.startswith("HF_") and "proxy" not in k.lower()}
        clean |= {"HOME": str(self.folder / "home"), "XDG_DATA_HOME": str(self.folder), "HF_ENDPOINT": self.hub.endpoint}
        clean |= environment
        return subprocess.Popen([PROGRAM, *words], env=clean, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def run_program(self, *words, **environment):
        process = self.start(*words, **environment)
        out, err = process.communicate(timeout=60)
        return process.returncode, out.strip(), err

    def pull(self, name="hf:o/r", **environment):
        code, out, err = self.run_program("pull", name, **environment)
        self.assertEqual(code, 0, err)
        return pathlib.Path(out)

    def refused(self, words, name="hf:o/r", **environment):
        code, _, err = self.run_program("pull", name, **environment)
        self.assertEqual(code, 1, err)
        message = [line for line in err.splitlines() if line.startswith(("error: ", "fathom: "))]
        self.assertEqual(len(message), 1, err)
        self.assertIn(words, message[0])
        return message[0]

    def left(self, folder="o--r"):
        return sorted(p.name for p in (self.models / folder).iterdir() if p.name != ".lock")

    def file_requests(self, server="store"):
        return [(path, headers) for kind, path, headers in self.hub.requests
                if kind == server and not path.startswith("/api/")]

    def test_a_file_comes_whole_and_only_once(self):
        repo = self.serve()
        path = self.pull()
        self.assertEqual(path, self.models / "o--r" / "m-Q4_K_M.gguf")
        self.assertEqual(path.read_bytes(), repo.files["m-Q4_K_M.gguf"])
        self.assertEqual(self.left(), ["fathom.json", "m-Q4_K_M.gguf"])
        record = json.loads((path.parent / "fathom.json").read_text())
        self.assertEqual((record["name"], record["commit"]), ("hf:o/r", COMMIT))
        sent = self.hub.bytes_sent
        code, out, err = self.run_program("pull", "hf:o/r")
        self.assertEqual((code, out), (0, str(path)))
        self.assertEqual(self.hub.bytes_sent, sent)
        self.assertNotIn("waiting", err)
        self.assertIn("connecting " + self.hub.endpoint, err)
        self.hub.stop()  # what is here needs no hub
        self.assertEqual(self.run_program("resolve", "hf:o/r")[:2], (0, str(path)))
        self.assertEqual(self.run_program("list")[1], "hf:o/r\tfathom")
        self.assertEqual(self.run_program("rm", "hf:o/r")[0], 0)
        self.assertEqual(self.run_program("resolve", "hf:o/r")[0], 1)

    def test_a_quant_is_chosen_and_a_set_is_whole(self):
        parts = {f"Q8_0/m-Q8_0-0000{i}-of-00002.gguf": some_bytes(i, 100_000 + i) for i in (1, 2)}
        self.serve(files={"m-Q4_K_M.gguf": b"x", **parts})
        path = self.pull("hf:o/r:Q8_0")
        self.assertEqual(path.name, "m-Q8_0-00001-of-00002.gguf")
        for name, data in parts.items():
            self.assertEqual((path.parent / pathlib.Path(name).name).read_bytes(), data)
        self.assertEqual(self.pull("hf:o/r:q8_0"), path)
        self.refused("no file or quant 'Q2_K'; there are: Q4_K_M, Q8_0", "hf:o/r:Q2_K")

    def test_one_file_need_be_no_model(self):
        self.serve(files={"config.json": b"{}", "model.safetensors": b"x"}, small=("config.json",))
        path = self.pull("hf:o/r:config.json")
        self.assertEqual(path, self.models / "o--r=config.json" / "config.json")
        self.assertEqual(path.read_bytes(), b"{}")

    def test_safetensors_come_with_what_stands_beside_them(self):
        small = {"config.json": b'{"a": 1}\n', "tokenizer.json": b"{}"}
        shards = {f"model-0000{i}-of-00002.safetensors": some_bytes(i, 70_000) for i in (1, 2)}
        self.serve(files={**small, **shards, "model.safetensors.index.json": b"{}", "figures/x.png": b"png"},
                   small=(*small, "model.safetensors.index.json"))
        path = self.pull()
        self.assertEqual(path, self.models / "o--r")
        self.assertEqual(self.left(), sorted([*small, *shards, "model.safetensors.index.json", "fathom.json"]))
        self.assertEqual((path / "config.json").read_bytes(), small["config.json"])

    def test_a_broken_connection_goes_on_where_it_stopped(self):
        repo = self.serve(cut={1: 300_000, 2: 300_000})
        self.assertEqual(self.pull().read_bytes(), repo.files["m-Q4_K_M.gguf"])
        ranges = [headers.get("Range") for _, headers in self.file_requests()]
        self.assertEqual(ranges, [None, "bytes=300000-", "bytes=600000-"])
        self.assertEqual([headers.get("If-Range") for _, headers in self.file_requests()], [None, '"v1"', '"v1"'])
        self.assertEqual(self.hub.bytes_sent, MEGABYTE)

    def test_a_file_that_changed_meanwhile_starts_over(self):
        repo = self.serve(cut={1: 300_000}, etags={1: "old", 2: "new"})
        self.assertEqual(self.pull().read_bytes(), repo.files["m-Q4_K_M.gguf"])
        self.assertEqual(self.hub.bytes_sent, MEGABYTE + 300_000)

    def test_a_server_without_ranges_is_good_enough(self):
        repo = self.serve(cut={1: 300_000}, no_ranges=True)
        self.assertEqual(self.pull().read_bytes(), repo.files["m-Q4_K_M.gguf"])

    def test_a_silent_connection_is_given_up(self):
        repo = self.serve(cut={1: 300_000}, silence=30)
        begin = time.monotonic()
        self.assertEqual(self.pull().read_bytes(), repo.files["m-Q4_K_M.gguf"])
        self.assertLess(time.monotonic() - begin, 15)

    def test_a_connection_that_stays_broken_is_said(self):
        self.serve(cut={i: 0 for i in range(1, 100)})
        self.refused("0 of 1048576 bytes are here")
        self.assertEqual(len(self.file_requests()), 5)

    def test_a_busy_hub_is_asked_again(self):
        self.serve(busy=2)
        self.pull()
        self.serve("o/gone", busy=100)
        self.refused("status 503", "hf:o/gone")

    def test_wrong_bytes_are_never_kept(self):
        data = some_bytes(1, MEGABYTE)
        self.serve(files={"m-Q4_K_M.gguf": data}, served={"m-Q4_K_M.gguf": data[:-1] + bytes([data[-1] ^ 1])})
        message = self.refused("its SHA-256 is")
        self.assertIn(hashlib.sha256(data).hexdigest(), message)
        self.assertEqual(self.left(), ["fathom.json"])
        self.serve("o/s", files={"config.json": b"{}", "model.safetensors": b"x"}, small=("config.json",),
                   served={"config.json": b"[]"})
        self.refused("its git object id is", "hf:o/s")

    def test_a_damaged_beginning_is_fetched_anew(self):
        repo = self.serve()
        data = repo.files["m-Q4_K_M.gguf"]
        part = self.models / "o--r" / f".{hashlib.sha256(data).hexdigest()}.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(b"\0" * 500_000)
        self.assertEqual(self.pull().read_bytes(), data)
        self.assertEqual(self.hub.bytes_sent, MEGABYTE - 500_000 + MEGABYTE)

    def test_more_bytes_than_listed_are_refused(self):
        data = some_bytes(1, 100_000)
        self.serve(files={"m-Q4_K_M.gguf": data}, served={"m-Q4_K_M.gguf": data + b"more"})
        self.refused("more than the 100000 bytes")
        self.assertEqual(self.left(), ["fathom.json"])

    def test_a_token_opens_and_stays_with_the_hub(self):
        self.serve(token="secret")
        self.refused("accept its terms on its page and set HF_TOKEN")
        self.refused("HF_TOKEN does not open it", HF_TOKEN="wrong")
        self.pull(HF_TOKEN="secret")
        self.assertEqual({h.get("Authorization") for _, h in self.file_requests("hub")}, {"Bearer secret"})
        self.assertEqual({h.get("Authorization") for _, h in self.file_requests("store")}, {None})
        self.refused("would go to 'http://hub.example' in the clear", HF_TOKEN="secret", HF_ENDPOINT="http://hub.example")

    def test_what_is_not_there_is_said(self):
        self.refused("no such repository or revision", "hf:o/absent")
        self.serve()
        self.refused("no such repository or revision", "hf:o/r@v9")
        self.refused("did you mean 'r1-distill-qwen-7b'", "r1-distil-qwen-7b")
        self.hub.stop()
        message = self.refused("onnect")
        self.assertIn("set HTTPS_PROXY if this machine needs a proxy, or HF_ENDPOINT to a mirror", message)

    def test_names_that_walk_are_refused(self):
        listing = Repo({"x.gguf": b"x"}).listing()
        listing["siblings"][0]["rfilename"] = "../../../walked.gguf"
        self.serve(listing=json.dumps(listing))
        self.refused("walks out of its folder")
        self.serve("o/s", listing="[" * 1000)
        self.refused("nested deeper", "hf:o/s")
        self.assertEqual(list(self.folder.rglob("walked.gguf")), [])

    def test_redirects_have_bounds(self):
        self.serve(redirect="{hub}")
        self.refused("more than 10 redirects")
        self.serve("o/s", redirect="file:///etc/passwd")
        self.refused("which is no web address", "hf:o/s")

    def test_a_full_disk_is_known_before_anything_is_fetched(self):
        self.serve().listed_sizes["m-Q4_K_M.gguf"] = 5 * 10**14
        self.refused("500 TB are to be fetched")
        self.assertEqual(self.file_requests(), [])
        self.assertEqual(list(self.models.iterdir()), [])

    def test_an_interrupted_pull_goes_on(self):
        repo = self.serve(pause=0.02)
        for how in (signal.SIGINT, signal.SIGKILL):
            process = self.start("pull", "hf:o/r")
            self.wait_until(lambda n=self.hub.bytes_sent: self.hub.bytes_sent > n + 200_000)
            process.send_signal(how)
            _, err = process.communicate(timeout=10)
            self.assertNotEqual(process.returncode, 0)
            if how == signal.SIGINT:
                self.assertIn("the next pull goes on from here", err)
            self.assertEqual(self.run_program("resolve", "hf:o/r")[0], 1)
        repo.oddities["pause"] = 0
        self.assertEqual(self.pull().read_bytes(), repo.files["m-Q4_K_M.gguf"])
        self.assertTrue(self.file_requests()[-1][1]["Range"].startswith("bytes="))

    def test_a_new_version_replaces_the_old(self):
        self.serve(files={f"model-0000{i}-of-00002.safetensors": some_bytes(i, 1000) for i in (1, 2)} |
                   {"config.json": b"{}"})
        self.pull()
        same = some_bytes(1, 1000)
        repo = self.serve(files={"model-00001-of-00001.safetensors": same, "config.json": b"[]"})
        self.pull()
        self.assertEqual(self.left(), ["config.json", "fathom.json", "model-00001-of-00001.safetensors"])
        self.assertEqual((self.models / "o--r/config.json").read_bytes(), b"[]")  # as long as before
        # What lies there under the name of a file, but was never pulled, is checked.
        self.run_program("rm", "hf:o/r")
        stray = self.models / "o--r/model-00001-of-00001.safetensors"
        stray.parent.mkdir(parents=True)
        for content, fetched in ((same, 2), (some_bytes(9, 1000), 1002)):
            stray.write_bytes(content)
            before = self.hub.bytes_sent
            self.pull()
            self.assertEqual(stray.read_bytes(), same)
            self.assertEqual(self.hub.bytes_sent - before, fetched)
            (stray.parent / "config.json").unlink()
            (stray.parent / "fathom.json").unlink()

    def test_two_programs_fetch_once(self):
        self.serve(pause=0.02)
        processes = [self.start("pull", "hf:o/r") for _ in range(2)]
        errors = [p.communicate(timeout=60)[1] for p in processes]
        self.assertEqual([p.returncode for p in processes], [0, 0], errors)
        self.assertEqual(self.hub.bytes_sent, MEGABYTE)
        self.assertEqual(sum("waiting" in e for e in errors), 1)

    def test_what_others_hold_is_not_fetched(self):
        repo = self.serve()
        data = repo.files["m-Q4_K_M.gguf"]
        cache = self.folder / "home/.cache/huggingface/hub/models--o--r/blobs" / hashlib.sha256(data).hexdigest()
        cache.parent.mkdir(parents=True)
        cache.write_bytes(data)
        path = self.pull()
        self.assertEqual(path.read_bytes(), data)
        self.assertEqual(path.stat().st_ino, cache.stat().st_ino)
        self.assertEqual(self.file_requests(), [])
        # Damaged there, it is fetched.
        self.run_program("rm", "hf:o/r")
        cache.write_bytes(b"\0" * len(data))
        self.assertEqual(self.pull().read_bytes(), data)
        self.assertEqual(cache.read_bytes(), b"\0" * len(data))

    def wait_until(self, holds):
        end = time.monotonic() + 20
        while not holds():
            self.assertLess(time.monotonic(), end)
            time.sleep(0.01)


if __name__ == "__main__":
    unittest.main(verbosity=1)
