#!/usr/bin/env python3
"""ask_server.py URL QUESTION

Puts one question to a running server and prints its answer as it comes: how ./run shows, without a person at the
terminal, that all of it works. Standard library only. Exit status 1 when no answer comes.
"""
import json
import sys
import urllib.error
import urllib.request

TIMEOUT_SECONDS = 120
ANSWER_TOKENS = 64


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return urllib.request.urlopen(request, timeout=TIMEOUT_SECONDS)


def first_model(base):
    with urllib.request.urlopen(base + "/v1/models", timeout=TIMEOUT_SECONDS) as reply:
        return json.load(reply)["data"][0]["id"]


def pieces(reply):
    """The pieces of text of a streamed chat completion."""
    for line in reply:
        data = line.decode().strip().removeprefix("data:").strip()
        if not line.startswith(b"data:") or data == "[DONE]":
            continue
        event = json.loads(data)
        if "error" in event:
            raise ValueError(event["error"])
        for choice in event.get("choices", []):
            yield choice["delta"].get("content") or ""


def main():
    base, question = sys.argv[1:]
    text = ""
    try:
        body = {"model": first_model(base), "messages": [{"role": "user", "content": question}], "stream": True,
                "temperature": 0, "max_tokens": ANSWER_TOKENS}
        with post(base + "/v1/chat/completions", body) as reply:
            for piece in pieces(reply):
                text += piece
                print(piece, end="", flush=True)
        print()
    except urllib.error.HTTPError as error:
        sys.exit(f"ask_server.py: the server answered {error.code}: {error.read().decode(errors='replace')[:500]}")
    except (OSError, ValueError, LookupError) as error:
        sys.exit(f"ask_server.py: no answer from {base}: {error!r}")
    if not text.strip():
        sys.exit(f"ask_server.py: the answer from {base} was empty")


if __name__ == "__main__":
    main()
