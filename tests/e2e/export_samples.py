#!/usr/bin/env python3
"""export_samples.py chatgpt|deepseek CONVERSATIONS OUT.json|OUT.zip [--seed N]

Writes an export of made-up conversations as the chat app of that name does: a tree of nodes for each, with branches,
thoughts and what else its files hold. For tests of the import; no conversation in it ever took place.
"""
import json
import random
import sys
import uuid
import zipfile
from datetime import datetime, timedelta, timezone

WORDS = "lake river 바다 호수 물 山 水 cloud answer question kernel stone light tree 나무 的 是 letter morning evening".split()
SHANGHAI = timezone(timedelta(hours=8))


class Samples:
    def __init__(self, seed=1):
        self.random = random.Random(seed)
        self.time = 1_735_000_000

    def id(self):
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def text(self, words):
        return " ".join(self.random.choice(WORDS) for _ in range(words)) + "."

    def tick(self):
        self.time += self.random.randint(1, 600)
        return self.time

    # ---- ChatGPT

    def chatgpt(self, turns=4, words=60):
        mapping = {}

        def add(parent, message):
            name = self.id()
            mapping[name] = {"id": name, "message": message, "parent": parent, "children": []}
            if parent:
                mapping[parent]["children"].append(name)
            return name

        def say(parent, role, content, recipient="all", **metadata):
            return add(parent, {"id": self.id(), "author": {"role": role, "name": None, "metadata": {}},
                                "create_time": self.tick() + 0.25, "update_time": None, "content": content,
                                "status": "finished_successfully", "end_turn": None, "weight": 1.0,
                                "metadata": metadata, "recipient": recipient, "channel": None})

        start = self.tick()
        at = add(None, None)
        at = say(at, "system", {"content_type": "text", "parts": [""]}, is_visually_hidden_from_conversation=True)
        at = say(at, "user", {"content_type": "user_editable_context", "user_profile": "hidden words"},
                 is_visually_hidden_from_conversation=True)
        for turn in range(turns):
            question = say(at, "user", {"content_type": "text", "parts": [self.text(words // 4)]})
            if turn == 1:  # the question was worded anew: the first wording stays a branch
                say(question, "assistant", {"content_type": "text", "parts": ["An answer that was left behind."]},
                    model_slug="gpt-4o")
                question = say(at, "user", {"content_type": "multimodal_text", "parts": [
                    {"content_type": "image_asset_pointer", "asset_pointer": "file-service://x"}, self.text(9)]})
            at = say(question, "assistant", {"content_type": "thoughts", "thoughts": [
                {"summary": "Looking", "content": self.text(words)}]}, model_slug="o3")
            at = say(at, "assistant", {"content_type": "code", "language": "python", "text": "print(6 * 7)"},
                     recipient="python")
            at = say(at, "tool", {"content_type": "execution_output", "text": "42"})
            at = say(at, "assistant", {"content_type": "reasoning_recap", "content": "Thought for 12 seconds"},
                     finished_duration_sec=12)
            at = say(at, "assistant", {"content_type": "text", "parts": [self.text(words)]}, model_slug="o3")
        name = self.id()
        return {"title": self.text(4), "create_time": start + 0.5, "update_time": self.time + 0.5, "mapping": mapping,
                "moderation_results": [], "current_node": at, "plugin_ids": None, "conversation_id": name, "id": name,
                "default_model_slug": "o3", "is_archived": False}

    # ---- DeepSeek

    def date(self):
        return datetime.fromtimestamp(self.tick(), SHANGHAI).isoformat(timespec="microseconds")

    def deepseek(self, turns=4, words=60):
        mapping = {"root": {"id": "root", "parent": None, "children": [], "message": None}}

        def add(parent, fragments, model):
            name = str(len(mapping))
            mapping[name] = {"id": name, "parent": parent, "children": [], "message": {
                "files": [], "model": model, "inserted_at": self.date(), "fragments": fragments}}
            mapping[parent]["children"].append(name)
            return name

        start = self.date()
        at = "root"
        for turn in range(turns):
            question = add(at, [{"type": "REQUEST", "content": self.text(words // 4)}], "deepseek-reasoner")
            if turn == 1:  # answered twice
                add(question, [{"type": "RESPONSE", "content": "The first answer."}], "deepseek-chat")
            at = add(question, [{"type": "THINK", "content": self.text(words)},
                                {"type": "RESPONSE", "content": self.text(words)}], "deepseek-reasoner")
        return {"id": self.id(), "title": self.text(3), "inserted_at": start, "updated_at": self.date(),
                "mapping": mapping}


def write(app, conversations, path, seed=1, words=60):
    samples = Samples(seed)
    make = samples.chatgpt if app == "chatgpt" else samples.deepseek
    plain = path if path.endswith(".json") else path + ".json"
    with open(plain, "w", encoding="utf-8") as out:
        out.write("[")
        for number in range(conversations):
            out.write(",\n" if number else "")
            json.dump(make(words=words), out, ensure_ascii=number % 2 == 0)
        out.write("]")
    if path != plain:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("user.json", "{}")
            archive.write(plain, "conversations.json")


if __name__ == "__main__":
    if len(sys.argv) < 4 or sys.argv[1] not in ("chatgpt", "deepseek"):
        sys.exit(__doc__)
    write(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[5]) if sys.argv[4:5] == ["--seed"] else 1)
