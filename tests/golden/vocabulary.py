"""A tiny byte-level tokenizer in both forms: tokenizer.json beside safetensors, tokenizer.ggml.* inside a GGUF file.

256 byte symbols, a few merges, begin and end tokens; the rows of the embedding may be more. The split patterns are the
families' own. The goldens feed ids and never text; the tokenizer is here because a model without one does not load.
"""
import json

MERGES = ["Ġ t", "h e", "i n", "Ġt he", "a n", "e r"]
BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"

QWEN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
        r"|\s+(?!\S)|\s+")
DEEPSEEK = [r"\p{N}{1,3}", "[一-龥\u3040-ゟ゠-ヿ]+",
            r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"""| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"""]
PATTERNS = {"llama": [QWEN.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)], "qwen2": [QWEN], "qwen3": [QWEN]}
GGUF_PRE = {"llama": "llama-bpe", "qwen2": "qwen2", "qwen3": "qwen2"}


def byte_symbols():
    """The printable characters that byte-level BPE writes bytes as, by byte."""
    kept = [*range(33, 127), *range(161, 173), *range(174, 256)]
    other = iter(range(256, 512))
    return [chr(b) if b in kept else chr(next(other)) for b in range(256)]


def tokens():
    return byte_symbols() + [m.replace(" ", "") for m in MERGES] + [BEGIN, END]


def begin_id():
    return tokens().index(BEGIN)


def end_id():
    return tokens().index(END)


def write_json(directory, model_type):
    """tokenizer.json and tokenizer_config.json."""
    def split(pattern):
        return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}
    def byte_level(regex):
        return {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": regex}
    def added(number, text):
        return {"id": number, "content": text, "single_word": False, "lstrip": False, "rstrip": False,
                "normalized": False, "special": True}
    vocabulary = tokens()
    document = {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [added(begin_id(), BEGIN), added(end_id(), END)],
        "normalizer": {"type": "NFC"} if model_type.startswith("qwen") else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers":
                          [*map(split, PATTERNS.get(model_type, DEEPSEEK)), byte_level(False)]},
        "post_processor": byte_level(False), "decoder": byte_level(True),
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False,
                  "ignore_merges": model_type == "llama",
                  "vocab": {text: i for i, text in enumerate(vocabulary[:begin_id()])}, "merges": MERGES}}
    settings = {"add_bos_token": not model_type.startswith("qwen"), "add_eos_token": False, "bos_token": BEGIN,
                "eos_token": END, "clean_up_tokenization_spaces": False, "tokenizer_class": "PreTrainedTokenizerFast"}
    (directory / "tokenizer.json").write_text(json.dumps(document, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / "tokenizer_config.json").write_text(json.dumps(settings, ensure_ascii=False, indent=1) + "\n",
                                                     encoding="utf-8")


def add_to_gguf(writer, model_type, rows):
    """The same vocabulary as metadata; rows of the embedding beyond it are unused tokens (type 5)."""
    vocabulary = tokens()
    padding = [f"[PAD{i}]" for i in range(len(vocabulary), rows)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(GGUF_PRE.get(model_type, "deepseek-v3"))
    writer.add_token_list(vocabulary + padding)
    writer.add_token_types([1] * begin_id() + [3, 3] + [5] * len(padding))
    writer.add_token_merges(MERGES)
    writer.add_bos_token_id(begin_id())
    writer.add_eos_token_id(end_id())
    writer.add_add_bos_token(not model_type.startswith("qwen"))
