#!/usr/bin/env python3
"""Holds fathom's tokenizers against the `tokenizers` library, text by text; every id must be the same.

    compare_with_tokenizers.py --tests BUILD/tests/test_tokens MODEL... [--texts 400] [--seed 1] [--fathom BUILD/fathom]

A MODEL is a folder with a tokenizer.json, or a GGUF file. For a GGUF file the reference is put together here from the
file's vocabulary and merges and the pre-tokenizer that its name stands for (an independent reading of the same facts).
Texts are encoded twice: with control tokens (as the library always does), and without, where the library is given the
same tokenizer with its control tokens taken out. Decoding, whole and token by token, is compared too.
With --fathom, a few texts also go through `fathom tokenize`.

    compare_with_tokenizers.py --write-pieces FILE

writes how the library's pre-tokenizers cut the texts, for the unit test that reads them.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

SCRIPTS = {
    "latin": "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ",
    "latin1": "àâäçéèêëîïôöùûüÿñæœßÀÉÜÄÖøåÅþÞúõ÷ûýùÁ",
    "greek": "αβγδεζηθικλμνξοπρστυφχψωΑΒΓΔάέήίόύώ",
    "cyrillic": "абвгдежзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁё",
    "hebrew": "אבגדהוזחטיכלמנסעפצקרשת",
    "arabic": "ابتثجحخدذرزسشصضطظعغفقكلمنهويءآأؤ",
    "devanagari": "अआइईउऊकखगघचछजझटठडढणतथदधनपफबभमयरलवशषसहािीुूेैोौ्ंँ",
    "thai": "กขคงจฉชซญดตถทธนบปผฝพฟภมยรลวศษสหอฮะาิีึืุูเแโใไ่้๊๋",
    "han": "的一是不了人我在有他这中大来上国个到说们为子和你地出道也时年得就那要下以生会自着去之過發電語漢字龥龦",
    "kana": "あいうえおかきくけこさしすせそアイウエオカキクケコーっッ・゛゜ヿゟ",
    "hangul": "가나다라마바사아자차카타파하한국어글은는이가을를ㄱㅏ각힣",
    "emoji": "🙂😀🚀🎉👍🏽👩‍💻🇩🇪❤️🏳️‍🌈1️⃣",
    "symbols": "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~€£¥§©®°±×÷«»“”‘’„…–—•→←↑∀∃∑√∞≠≤≥",
    "digits": "0123456789٠١٢٣४५६Ⅷ½²³①",
    "marks": "e\u0301a\u0308o\u0302\u0323n\u0303\u1100\u1161\u11A8\u0f71\u0f72",
    "singletons": "\u212B\u2126\u212A\u037E\u0387\uF900\uFA30\u1FEF\u2F801\u0344\u0958",
    "spaces": " \t\n\r\u00a0\u2003\u3000\u200b\u2028\u0085\u000b\u180e\ufeff",
    "control": "\x00\x01\x1b\x7f\x1c\x1f",
}

PHRASES = [
    "Hello, world!", "hello world!", "Who are you?", "1234567 + 89 = 1234656", "def f(x):\n    return x**2\n",
    "don't I'LL we've they'D I\u2019m 'S 'ſ", "ひらがなカタカナ漢字 한국어", "🙂🚀 emoji", "Führer üÿõ", "\n =", "33333",
    "  leading", "trailing  ", "a\n\n\nb", "\r\n\r\n", "   \n   \n", "\t\tif (x) {\n\t\t\treturn;\n\t\t}",
    "for (int i = 0; i < n; ++i) { a[i] += b[i] * 0x1F; } // done", "SELECT * FROM t WHERE a='b';",
    "https://example.org/a?b=c&d=%20#e", "{\"k\": [1, 2.5e-3, null]}", "CamelCaseWordsAndSNAKE_CASE_words",
    "x = y_1 + 3.14159; \\frac{a}{b} \\sum_{i=0}^{n}", "3.14 1,000,000 12:30 2024-01-02 +49-30-123",
    "<|im_start|>user", "<|im_end|>", "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<|begin_of_text|>", "<|eot_id|>",
    "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<|endoftext|>", "<tool_call>", "<|User|>", "<｜tool▁calls▁begin｜>",
    "<|im_end", "im_end|>", "<｜User", "<<think>>", "<｜place▁holder▁no▁1｜>", "<|im_end|>\u0338", "<repo_name>", "< think >",
    "\u0338<think>\u0338", "e\u0301<think>\u0301x", "!!!", "...", "?!?!", "'''", "```python\nprint('hi')\n```",
]


def run_of(r):
    unit = r.choice([" ", "\n", "a", "A", "1", "!", "é", "漢", "ア", "🙂", "\t", "ab", " a", "\r\n", "  \n", "가", "-", "=", "\u0301", "<", "'s"])
    return unit * r.choice([2, 3, 5, 17, 64, 300])


def random_character(r):
    while True:
        c = chr(r.choice([r.randrange(0x20, 0x250), r.randrange(0x300, 0x2000), r.randrange(0x2000, 0xD800),
                          r.randrange(0xE000, 0x10000), r.randrange(0x1F000, 0x1FB00), r.randrange(0x10000, 0x11FFF)]))
        # Characters that some Unicode version of the libraries does not know yet are classed differently by each.
        if unicodedata.category(c) != "Cn":
            return c


def word(r):
    script = SCRIPTS[r.choice(list(SCRIPTS))]
    return "".join(r.choice(script) for _ in range(r.randint(1, 8)))


def random_text(r, added):
    parts = []
    for _ in range(r.randint(1, 12)):
        kind = r.random()
        if kind < 0.35:
            parts.append(word(r))
        elif kind < 0.6:
            parts.append(r.choice(PHRASES))
        elif kind < 0.7:
            parts.append(run_of(r))
        elif kind < 0.8:
            parts.append("".join(random_character(r) for _ in range(r.randint(1, 6))))
        elif kind < 0.87 and added:
            token = r.choice(added)
            parts.append(token if r.random() < 0.7 else token[: r.randint(1, len(token))])
        else:
            parts.append(" ".join(word(r) for _ in range(r.randint(1, 4))))
        parts.append(r.choice(["", "", " ", " ", "\n", "  ", "\t"]))
    return "".join(parts)


# Ids known from elsewhere, by a token that only one of the vocabularies has: DeepSeek V3, Llama 3, Qwen 2 to 3.
VECTORS = {
    "<｜User｜>": {
        "Hello, world!": [19923, 14, 2058, 3], "hello world!": [33310, 2058, 3], "Who are you?": [18387, 477, 440, 33],
        "1234567 + 89 = 1234656": [6895, 18009, 25, 940, 223, 4362, 438, 223, 6895, 23516, 24],
        "def f(x):\n    return x**2\n": [3465, 285, 4042, 3395, 361, 1354, 1527, 666, 20, 201],
        "🙂🚀 emoji": [80300, 227, 74287, 225, 980, 82644],
        "ひらがなカタカナ漢字 한국어": [40259, 4970, 2936, 2942, 15961, 11767, 15961, 27071, 29069, 2024, 51345, 9227]},
    "<|begin_of_text|>": {
        "Hello, world!": [9906, 11, 1917, 0], "hello world!": [15339, 1917, 0], "Who are you?": [15546, 527, 499, 30],
        "1234567 + 89 = 1234656": [4513, 10961, 22, 489, 220, 4578, 284, 220, 4513, 19988, 21],
        "def f(x):\n    return x**2\n": [755, 282, 2120, 997, 262, 471, 865, 334, 17, 198],
        "🙂🚀 emoji": [9468, 19044, 9468, 248, 222, 43465],
        "ひらがなカタカナ漢字 한국어": [104328, 33503, 29295, 26854, 71493, 47307, 71493, 96452, 115953, 19113, 104008, 32179]},
    "<|object_ref_start|>": {
        "Hello, world!": [9707, 11, 1879, 0], "hello world!": [14990, 1879, 0], "Who are you?": [15191, 525, 498, 30],
        "1234567 + 89 = 1234656": [16, 17, 18, 19, 20, 21, 22, 488, 220, 23, 24, 284, 220, 16, 17, 18, 19, 21, 20, 21],
        "def f(x):\n    return x**2\n": [750, 282, 2075, 982, 262, 470, 856, 334, 17, 198],
        "🙂🚀 emoji": [145080, 145836, 42365],
        "ひらがなカタカナ漢字 한국어": [124877, 32403, 28195, 25770, 70393, 46207, 70393, 95352, 110007, 18600, 130092, 31079]},
}

GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
         r"|\s+(?!\S)|\s+")

DEEPSEEK_V3 = ("[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
               "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+")
HAN_HANGUL = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
DIGITS = pre_tokenizers.Digits(individual_digits=True)


def ranges(text):
    ends = [r.split("-") for r in text.split()]
    return "".join(f"\\x{{{r[0]}}}-\\x{{{r[-1]}}}" for r in ends)


LLM_PUNCTUATION = ranges("21-2F 3A-7E FF01-FF0F FF1A-FF5E 2018-201F 3000-3002")
LLM_LETTERS = ranges(
    "41-5A 61-7A B5 C0-D6 D8-F6 F8-1BA 1BC-1BF 1C4-293 295-2AF 370-373 376 377 37B-37D 37F 386 388-38A 38C 38E-3A1 "
    "3A3-3F5 3F7-481 48A-52F 531-556 10A0-10C5 13A0-13F5 13F8-13FD 1C90-1CBA 1CBD-1CBF 1D00-1D2B 1D6B-1D77 1D79-1D9A "
    "1E00-1F15 1F18-1F1D 1F20-1F45 1F48-1F4D 1F50-1F57 1F59 1F5B 1F5D 1F5F-1F7D 1F80-1FB4 1FB6-1FBC 1FBE 1FC2-1FC4 "
    "1FC6-1FCC 1FD0-1FD3 1FD6-1FDB 1FE0-1FEC 1FF2-1FF4 1FF6-1FFC 2102 2107 210A-2113 2115 2119-211D 2124 2126 2128 "
    "212A-212D 212F-2134 2139 213C-213F 2145-2149 214E 2183 2184 2C00-2C7B 2C7E-2CE4 2CEB-2CEE 2CF2 2CF3 A640-A66D "
    "A680-A69B A722-A76F A771-A787 A78B-A78E AB70-ABBF FB00-FB06 FB13-FB17 FF21-FF3A FF41-FF5A 10400-1044F 104B0-104D3 "
    "104D8-104FB 10C80-10CB2 10CC0-10CF2 118A0-118DF 1E900-1E943")


def split(pattern):
    return pre_tokenizers.Split(Regex(pattern), "isolated")


def pre_tokenizer_of(name):
    """The steps of a GGUF's tokenizer.ggml.pre, its normaliser, and ignore_merges."""
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if name == "smollm":
        steps = [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
        return pre_tokenizers.Sequence(steps), None, False
    if name == "gpt-2":
        return pre_tokenizers.ByteLevel(add_prefix_space=False), None, False
    if name in ("qwen2", "deepseek-r1-qwen"):
        return pre_tokenizers.Sequence([split(QWEN2), byte_level]), normalizers.NFC(), False
    if name == "deepseek-v3":
        parts = [r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+", DEEPSEEK_V3]
        return pre_tokenizers.Sequence([split(p) for p in parts] + [byte_level]), None, False
    if name == "deepseek-coder":
        parts = [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", HAN_HANGUL]
        return pre_tokenizers.Sequence([split(p) for p in parts] + [DIGITS, byte_level]), None, False
    if name == "deepseek-llm":
        parts = [r"[\r\n]", r"\s?[" + LLM_LETTERS + "]+", r"\s?[" + LLM_PUNCTUATION + "]+", r"\s+$", HAN_HANGUL]
        return pre_tokenizers.Sequence([split(p) for p in parts] + [DIGITS, byte_level]), None, False
    if name == "llama-bpe":
        return pre_tokenizers.Sequence([split(QWEN2.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)), byte_level]), None, True
    sys.exit(f"no reference for the pre-tokenizer {name}")


def is_control(text, special):
    return special or (len(text) > 2 and text.startswith("<") and text.endswith(">"))


def reference_from_gguf(path):
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    pre, normalizer, ignore_merges = pre_tokenizer_of(fields["tokenizer.ggml.pre"].contents())
    added = [(t, types[i] == 3) for i, t in enumerate(tokens) if types[i] in (3, 4)]

    def build(keep):
        tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges, ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = pre
        tokenizer.decoder = decoders.ByteLevel()
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.add_tokens([AddedToken(t, normalized=False, special=special) for t, special in added if keep(t, special)])
        return tokenizer

    return build(lambda t, s: True), build(lambda t, s: not is_control(t, s)), [t for t, _ in added]


def reference_from_json(path):
    spec = json.loads(path.read_text(encoding="utf-8"))
    added = [t["content"] for t in spec["added_tokens"]]
    with_control = Tokenizer.from_str(json.dumps(spec))
    kept = [t for t in spec["added_tokens"] if not is_control(t["content"], t["special"])]
    without = Tokenizer.from_str(json.dumps({**spec, "added_tokens": kept, "post_processor": None}))
    return with_control, without, added


def write_gguf(folder, pre, path):
    """A GGUF without weights: a tokenizer.json's vocabulary under another pre-tokenizer, with DeepSeek LLM's letters."""
    import gguf

    spec = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    tokens = dict((i, (t, 1)) for t, i in spec["model"]["vocab"].items())
    for t in spec["added_tokens"]:
        tokens[t["id"]] = (t["content"], 3 if t["special"] else 4)
    for letter in "\u00f8\u00f6\u00fa\u00ff\u00f5\u00f7\u00fb\u00fd\u00c0\u00f9\u00c1\u00fe\u00fc":
        tokens[max(tokens) + 1] = (letter, 4)
    rows = [tokens.get(i, (f"[PAD{i}]", 5)) for i in range(max(tokens) + 1)]
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list([t for t, _ in rows])
    writer.add_token_types([k for _, k in rows])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.close()


def run_driver(tests, model, texts, control):
    with tempfile.TemporaryDirectory() as folder:
        given, out = os.path.join(folder, "texts.json"), os.path.join(folder, "out.json")
        with open(given, "w", encoding="utf-8") as f:
            json.dump({"texts": texts, "control": control}, f)
        run = subprocess.run([tests, "--gtest_filter=GoldenDriver.Tokenize"], capture_output=True, text=True,
                             env={**os.environ, "FATHOM_GOLDEN_MODEL": str(model), "FATHOM_GOLDEN_TEXTS": given,
                                  "FATHOM_GOLDEN_OUT": out})
        if run.returncode != 0:
            sys.exit(run.stdout + run.stderr)
        with open(out, encoding="utf-8") as f:
            return json.load(f)


def run_fathom(fathom, model, text, control):
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as f:
        f.write(text)
        f.flush()
        command = [fathom, "tokenize", str(model), "--file", f.name] + (["--specials"] if control else [])
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def compare(args, model, r):
    path = pathlib.Path(model)
    reader = reference_from_json(path / "tokenizer.json") if path.is_dir() else reference_from_gguf(str(path))
    with_control, without, added = reader
    texts = PHRASES + [random_text(r, added) for _ in range(args.texts)]
    bad = 0
    for control, reference in ((True, with_control), (False, without)):
        result = run_driver(args.tests, model, texts, control)
        for i, text in enumerate(texts):
            ids = reference.encode(text, add_special_tokens=False).ids
            problem = None
            if result["ids"][i] != ids:
                problem = f"ids {result['ids'][i]} expected {ids}"
            else:
                decoded = with_control.decode(ids, skip_special_tokens=False)
                literal = any(t for t in added if t in text and not is_control(t, False))
                # The library turns an added letter (DeepSeek LLM's) into a byte; fathom prints it.
                if not literal and result["texts"][i] != decoded:
                    problem = f"decoded {result['texts'][i]!r} expected {decoded!r}"
                elif result["streams"][i] != result["texts"][i]:
                    problem = f"streamed {result['streams'][i]!r} expected {result['texts'][i]!r}"
            if problem:
                bad += 1
                if bad <= 5:
                    print(f"  {text!r} (control={control}): {problem}")
        # Files made here by --pre have one model's vocabulary and another's pre-tokenizer.
        known = {} if args.pre else next((v for token, v in VECTORS.items() if token in added), {})
        for text, ids in known.items():
            if result["ids"][texts.index(text)] != ids:
                bad += 1
                print(f"  {text!r}: {result['ids'][texts.index(text)]}, known to be {ids}")
        if args.fathom:
            for text in r.sample(texts, 5):
                if run_fathom(args.fathom, model, text, control) != reference.encode(text, add_special_tokens=False).ids:
                    bad += 1
                    print(f"  fathom tokenize differs on {text!r}")
    print(f"{model}: {len(texts)} texts, twice, {bad} differ")
    return bad


def write_pieces(path, r):
    texts = PHRASES + [random_text(r, []) for _ in range(60)]
    out = {"texts": texts, "pieces": {}}
    for name in ("deepseek-llm", "deepseek-coder", "deepseek-v3", "qwen2", "llama-bpe", "smollm", "gpt-2"):
        pre, normalizer, _ = pre_tokenizer_of(name)
        rows = []
        for text in texts:
            text = normalizer.normalize_str(text) if normalizer else text
            # Pieces come in the byte alphabet; their ends in the text are what counts.
            rows.append([end for _, (_, end) in pre.pre_tokenize_str(text)])
        out["pieces"][name] = rows
    pathlib.Path(path).write_text(json.dumps(out, ensure_ascii=True) + "\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", help="the built test_tokens")
    parser.add_argument("--write-pieces", help="write the pieces of some texts here, and stop")
    parser.add_argument("--fathom", help="the built fathom")
    parser.add_argument("--texts", type=int, default=400, help="random texts for each model")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pre", help="compare GGUF files made of each MODEL's vocabulary and these pre-tokenizers (a,b,...)")
    parser.add_argument("models", nargs="*")
    args = parser.parse_args()
    r = random.Random(args.seed)
    if args.write_pieces:
        return write_pieces(args.write_pieces, r)
    if not args.tests:
        parser.error("--tests is needed")
    bad = 0
    for model in args.models:
        if not args.pre:
            bad += compare(args, model, r)
            continue
        for pre in args.pre.split(","):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, f"{pre}.gguf")
                write_gguf(pathlib.Path(model), pre, path)
                bad += compare(args, path, r)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
