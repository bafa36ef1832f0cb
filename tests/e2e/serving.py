"""A data folder of its own, the program as it runs there, and its server."""
import contextlib
import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import threading

START_SECONDS = 120
ANSWER_SECONDS = 120
TEMPLATE = ("{% for message in messages %}[{{ message.role }}] {{ message.content }}\n{% endfor %}"
            "{% if add_generation_prompt %}[assistant] {% endif %}")


class Home:
    def __init__(self, fathom, model, folder):
        self.fathom, self.model = fathom, model
        self.folder = pathlib.Path(folder)
        kept = {name: value for name, value in os.environ.items()
                if name not in ("FATHOM_API_KEY", "FATHOM_CHAT_DATA")}
        self.environment = kept | {"XDG_DATA_HOME": str(folder)}
        self.data = self.folder / "fathom"

    def run(self, *words, status=0):
        """What `fathom WORDS...` prints, or, where it is to fail, what it says."""
        done = subprocess.run([self.fathom, *words], env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == status, done
        return done.stdout if status == 0 else done.stderr

    def add_key(self, name, *flags):
        return self.run("keys", "add", name, *flags).strip()

    def usage(self):
        return json.loads(self.run("usage", "--json"))


def change_json(path, **fields):
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def tiny_model(folder, context=16384):
    """A golden's random weights with a chat template: it starts in no time, and what it says is noise."""
    tiny = pathlib.Path(folder) / "tiny"
    shutil.copytree(pathlib.Path(__file__).resolve().parents[1] / "golden/data/qwen2/model", tiny)
    change_json(tiny / "tokenizer_config.json", chat_template=TEMPLATE)
    change_json(tiny / "config.json", max_position_embeddings=context)
    return str(tiny)


class Server:
    """A running `fathom serve`, its address taken from the line that it prints. `before` runs in the new process."""

    def __init__(self, home, *flags, tls=None, before=None):
        self.tls = tls
        self.process = subprocess.Popen([home.fathom, "serve", home.model, "--port", "0", *flags], env=home.environment,
                                        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, preexec_fn=before)
        self.said = []
        self.listener = threading.Thread(target=self.listen, daemon=True)
        self.listener.start()
        stuck = threading.Timer(START_SECONDS, self.process.kill)
        stuck.start()
        line = self.process.stdout.readline()
        stuck.cancel()
        found = re.search(r"https?://[\d.]+:(\d+)", line)
        if not found:
            self.process.wait(30)
            self.listener.join(30)
        assert found, f"the server did not start: {line!r} {self.words()}"
        self.port = int(found[1])

    def listen(self):
        for line in self.process.stderr:
            self.said.append(line)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(60)
        self.listener.join(10)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def words(self):
        """What it has said on standard error so far."""
        return "".join(self.said)

    def connect(self, timeout=ANSWER_SECONDS):
        if self.tls:
            return http.client.HTTPSConnection("127.0.0.1", self.port, timeout=timeout, context=self.tls)
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)

    def ask(self, path, body=None, key=None, method=None, headers=None):
        """Status, headers and text of one request; a body is sent as JSON, a text as it is."""
        with contextlib.closing(self.connect()) as connection:
            all_headers = ({"Authorization": f"Bearer {key}"} if key else {}) | (headers or {})
            text = body if body is None or isinstance(body, (str, bytes)) else json.dumps(body)
            connection.request(method or ("GET" if body is None else "POST"), path, text, all_headers)
            reply = connection.getresponse()
            return reply.status, dict(reply.getheaders()), reply.read().decode()

    def chat(self, key=None, tokens=4, **fields):
        """Status, headers and body (JSON where it is) of one short answer."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": tokens, "ignore_eos": True} | fields
        status, headers, text = self.ask("/v1/chat/completions", body, key)
        return status, headers, json.loads(text) if text.lstrip().startswith("{") else text

    def metrics(self, key=None):
        """The samples of /metrics: {'name{label="value"}': number}."""
        status, _, text = self.ask("/metrics", key=key)
        assert status == 200, text
        lines = (line.rpartition(" ") for line in text.splitlines() if line and not line.startswith("#"))
        return {name: float(value) for name, _, value in lines}
