#!/usr/bin/env python3
"""Holds fathom's chat templates against the jinja2 library, set up as transformers sets it up.

    compare_templates.py --tests BUILD/tests/test_tokens [--templates FOLDER] [--rounds 20] [--seed 1]

Two kinds of cases: small templates that each use one construct (below), and real templates (every *.jinja, and the
chat_template of every tokenizer_config.json under FOLDER) with random conversations. A case agrees when both give the
same text, or both refuse. Where fathom refuses what jinja2 runs, the construct is printed and counts as a difference.
What jinja2 itself refuses (a template's raise_exception, for instance) must be refused, with whatever words.

    compare_templates.py --write FILE

writes the small cases with jinja2's answers (null: refused), for the unit test that reads them.
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile
from datetime import datetime

import jinja2
import jinja2.ext
from jinja2.sandbox import ImmutableSandboxedEnvironment


class Generation(jinja2.ext.Extension):
    """{% generation %}: marks what an assistant wrote; for the text it does nothing."""

    tags = {"generation"}

    def parse(self, parser):
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def environment():
    def raise_exception(message):
        raise jinja2.exceptions.TemplateError(message)

    def tojson(x, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
        return json.dumps(x, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)

    env = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    env.filters["tojson"] = tojson
    env.globals["raise_exception"] = raise_exception
    env.globals["strftime_now"] = lambda f: datetime.now().strftime(f)
    return env


# One construct each. Variables: messages, tools, and those of EXTRA.
SMALL = r"""
{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ -7 % 3 }} {{ 2 ** 5 }} {{ 7.5 // 2 }} {{ 1 / 3 }}
{{ -x ** 2 }} {{ +x }} {{ -2 ** 2 }} {{ 1e20 }} {{ 1.5e-7 }} {{ 100000.0 * 10 }} {{ 0x1F }} {{ 1_000 }}
{{ 'a' ~ 1 ~ none ~ true ~ 1.0 ~ [1, 'b'] ~ {'k': "it's"} }}
{{ "tab\tnew\nline \x41 é \u00e9 \"q\" \' \q" }}
{{ 'x' * 3 }}{{ 3 * 'ab' }}{{ [1] * 2 }}{{ [1] + [2] }}{{ 'a' 'b' }}
{{ s[0] }}{{ s[-1] }}{{ s[1:3] }}{{ s[::-1] }}{{ s[:-1] }}{{ s[-2:] }}{{ s[::2] }}{{ l[1:] }}{{ l[::-1] }}{{ l[5:] }}{{ l[-100:2] }}{{ l[3:1:-1] }}
{{ s[99] }}|{{ l[99] }}|{{ d.nothing }}|{{ d['nothing'] }}|{{ nothing }}
{{ nothing.more }}
{{ nothing + 1 }}
{{ d.a }}{{ d['a'] }}{{ d.n.x }}{{ d['n']['y'][0] }}{{ d.items() | list }}{{ d.keys() | list }}{{ d.values() | list }}{{ d.get('a') }}{{ d.get('q') }}{{ d.get('q', 5) }}
{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}{% for k in d %}{{ k }}{% endfor %}{% for k, v in d | items %}{{ k }}{% endfor %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ loop.previtem }}{{ loop.nextitem }}{{ loop.cycle('a', 'b') }}{{ loop.changed(x > 2) }} {% else %}none{% endfor %}
{% for x in [] %}{{ x }}{% else %}empty{% endfor %}{% for x in nothing %}{{ x }}{% else %}empty{% endfor %}{% for x in none %}{% endfor %}
{% for x in l if x is odd %}{{ x }}{{ loop.length }}{% else %}no{% endfor %}{% for x in l if x > 99 %}{% else %}no{% endfor %}
{% for x in l %}{% if x == 2 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for a, b in [[1, 2], [3, 4]] %}{{ a }}{{ b }}{% endfor %}{% for (a, b) in [(1, 2)] %}{{ a }}{{ b }}{% endfor %}
{% for i in range(3) %}{{ i }}{% for j in range(1, i) %}({{ loop.depth }}{{ j }}){% endfor %}{% endfor %}{{ range(5, 0, -2) | list }}
{% set a = 1 %}{% for i in l %}{% set a = a + 1 %}{{ a }}{% endfor %}{{ a }}{% set a, b = 3, 4 %}{{ a }}{{ b }}
{% set ns = namespace(a=1, b='x') %}{% for i in l %}{% set ns.a = ns.a + i %}{% endfor %}{{ ns.a }}{{ ns.b }}{{ ns.c }}
{% set t %}block {{ x }}{% endset %}[{{ t }}]{% set t | upper | trim %} shout {% endset %}[{{ t }}]
{% if x %}a{% elif s %}b{% else %}c{% endif %}{% if not x %}a{% elif s %}b{% else %}c{% endif %}{{ 'y' if x else 'n' }}{{ 'y' if not x }}{{ 1 if x else 2 if s else 3 }}
{{ x in l }}{{ x not in l }}{{ 'e' in s }}{{ 'a' in d }}{{ 'zz' not in d }}{{ not x in l }}{{ 1 < 2 < 3 }}{{ 1 < 3 < 2 }}{{ 'a' < 'b' }}{{ [1, 2] < [1, 3] }}{{ 1 == 1.0 }}{{ 1 == true }}{{ '1' == 1 }}{{ none == none }}{{ nothing == nothing }}
{{ x and s }}|{{ 0 or s }}|{{ none and 1 }}|{{ '' or [] }}|{{ not none }}
{{ x is defined }}{{ nothing is defined }}{{ nothing is undefined }}{{ none is none }}{{ x is not none }}{{ s is string }}{{ x is number }}{{ true is number }}{{ x is integer }}{{ 1.5 is float }}{{ true is boolean }}{{ true is true }}{{ 1 is true }}{{ false is false }}{{ d is mapping }}{{ l is sequence }}{{ s is iterable }}{{ d is iterable }}{{ x is iterable }}{{ 4 is even }}{{ 3 is odd }}{{ 9 is divisibleby 3 }}{{ 9 is divisibleby(2) }}{{ 1 is eq 1 }}{{ 1 is ne(2) }}{{ 1 is lt 2 }}{{ 2 is ge 2 }}{{ 'a' is in 'abc' }}{{ 'abc' is lower }}{{ 'ABC' is upper }}{{ x is sameas x }}{{ range is callable }}{{ 1 is == 1 }}
{{ s is string and x is number or false }}{{ not s is string }}{{ s is not string }}
{{ '  a b  ' | trim }}|{{ 'xxaxx' | trim('x') }}|{{ s | upper }}{{ 'ABC' | lower }}{{ 'hello world-foo (bar) o\'neil' | title }}{{ 'hELLO wORLD' | capitalize }}{{ s | length }}{{ l | count }}{{ d | length }}{{ 'ab' | list }}{{ l | first }}{{ l | last }}{{ [] | first }}{{ 'abc' | last }}{{ 'abc' | reverse }}{{ l | reverse | list }}
{{ l | join }}{{ l | join(', ') }}{{ messages | join('/', attribute='role') }}{{ ['a', 1, none] | join('-') }}
{{ 'a.b.c' | replace('.', '!') }}{{ 'a.b.c' | replace('.', '!', 1) }}{{ 'aaa' | replace('a', '') }}{{ 'aaa'.replace('a', 'bb', 2) }}
{{ nothing | default('d') }}{{ '' | default('d') }}{{ '' | default('d', true) }}{{ none | d('e', boolean=true) }}{{ nothing | default }}
{{ '12' | int }}{{ 'x' | int }}{{ 'x' | int(7) }}{{ ' 3.7 ' | int }}{{ 3.9 | int }}{{ '3.5' | float }}{{ true | int }}{{ 12 | string }}{{ -5 | abs }}{{ 2.5 | round }}{{ 3.14159 | round(2) }}{{ 3.1 | round(0, 'ceil') }}{{ 3.9 | round(method='floor') }}
{{ [3, 1, 2] | sort }}{{ ['b', 'A', 'c'] | sort }}{{ ['b', 'A'] | sort(case_sensitive=true) }}{{ [1, 3, 2] | sort(reverse=true) }}{{ messages | sort(attribute='role') | map(attribute='role') | list }}{{ [1, 2, 1] | unique | list }}{{ [1, 2] | sum }}{{ [3, 1] | min }}{{ ['a', 'B'] | max }}{{ d | dictsort }}
{{ messages | map(attribute='role') | list }}{{ ['a', 'b'] | map('upper') | join }}{{ messages | selectattr('role', 'equalto', 'user') | list | length }}{{ messages | rejectattr('role', 'eq', 'user') | list | length }}{{ [0, 1, '', 'a'] | select | list }}{{ [1, 2, 3] | select('odd') | list }}{{ [1, 2, 3] | reject('odd') | list }}{{ messages | selectattr('name') | list }}{{ [{'a': {'b': 1}}] | map(attribute='a.b') | list }}{{ [{'a': 1}, {}] | map(attribute='a', default=9) | list }}
{{ d | tojson }}{{ l | tojson(indent=2) }}{{ {'a': [1, {'b': none}], 'é': 1.0} | tojson(indent=4) }}{{ d | tojson(separators=(',', ':')) }}{{ {'b': 1, 'a': 2} | tojson(sort_keys=true) }}{{ 'é"\\\n' | tojson }}{{ 'é' | tojson(ensure_ascii=true) }}{{ [] | tojson(indent=2) }}{{ {} | tojson }}{{ 1e100 | tojson }}{{ true | tojson }}
{{ 'a\nb\n\nc' | indent }}|{{ 'a\nb' | indent(2, true) }}|{{ 'a\n\nb' | indent(width=3, blank=true) }}|{{ 'a\nb' | indent('>>') }}
{{ '<a href="x">\'&' | e }}{{ '<b>' | escape }}{{ '<b>' | safe }}
{{ '%s is %d and %.2f %5s|%-5s|%05d %x %%' | format('a', 3, 2.5, 'r', 'l', 42, 255) }}{{ '%s-%s' % ('a', 'b') }}{{ 'n %i' % 3 }}
{{ 'a,b,c'.split(',') }}{{ ' a  b '.split() }}{{ 'a,b,c'.split(',', 1) }}{{ 'a b c'.split(none, 1) }}{{ 'a,b,c'.rsplit(',', 1) }}{{ 'a b  c'.rsplit(none, 1) }}{{ 'abc'.split('b')[-1] }}{{ ''.split(',') }}{{ ''.split() }}{{ 'a\nb\r\nc\n'.splitlines() }}
{{ ' x '.strip() }}|{{ ' x '.lstrip() }}|{{ ' x '.rstrip() }}|{{ 'xxyxx'.strip('x') }}|{{ 'abcba'.rstrip('ab') }}|{{ '\n\nx\n'.lstrip('\n') }}
{{ s.startswith('h') }}{{ s.startswith(('x', 'h')) }}{{ s.endswith('o') }}{{ s.upper() }}{{ 'AB'.lower() }}{{ "it's a tale".title() }}{{ 'ab'.capitalize() }}{{ 'ababab'.count('ab') }}{{ 'hello'.find('l') }}{{ 'hello'.rfind('l') }}{{ 'hello'.find('z') }}{{ 'hello'.index('l') }}{{ '-'.join(['a', 'b']) }}{{ '12'.isdigit() }}{{ 'ab'.isalpha() }}{{ ' '.isspace() }}{{ 'abc'.removeprefix('a') }}{{ 'abc'.removesuffix('c') }}
{% macro m(a, b='B', c=none) %}[{{ a }}{{ b }}{{ c }}]{% endmacro %}{{ m(1) }}{{ m(1, 2) }}{{ m(1, c=3) }}{{ m(a='x') }}{{ m() }}
{% macro fact(n) %}{% if n > 1 %}{{ n * (fact(n - 1) | int) }}{% else %}1{% endif %}{% endmacro %}{{ fact(5) }}
{% macro wrap(tag) %}<{{ tag }}>{{ caller() }}</{{ tag }}>{% endmacro %}{% call wrap('b') %}in{{ x }}{% endcall %}{% macro each(l) %}{% for i in l %}{{ caller(i) }}{% endfor %}{% endmacro %}{% call(i) each(l) %}<{{ i }}>{% endcall %}
{% with a = 1, b = 2 %}{{ a }}{{ b }}{% endwith %}{{ a }}
{% generation %}gen {{ x }}{% endgeneration %}
{# comment #}a{# another
 #}b{#- trimmed -#} c
  {% if true %}
  indented
    {%- if true %} kept{% endif +%}
  {% endif %}
end
a  {%- if true -%}  b  {%- endif -%}  c {{- ' d ' -}} e {%+ if true %} f{% endif %}

{% raw %}{{ not }} {% run %}{% endraw %}|{%- raw -%}  x  {%- endraw -%} y
{{ {'a': {'b': 1}}['a']['b'] }}{{ {'x': 1, 'y': [1, 2]}.y[1] }}{{ (1, 2)[0] }}{{ [1, [2, 3]][1][0] }}{{ 5.0 }}{{ dict(a=1)['a'] }}{{ (1,) }}
{{ [x, s, d.a] }}{{ {'k': [none, true, 1.5, 'q"\'']} }}{{ ['é', '\n'] }}{{ "it's" }}{{ ["it's"] }}
{{ raise_exception('no ' ~ x) }}
{{ strftime_now('%Y') | length }}{{ strftime_now('%d %b %Y') == strftime_now('%d %b %Y') }}
{% for m in messages %}{% if m.role == 'user' %}{{ m['content'] }}{% endif %}{{ m.tool_calls is defined }}{{ 'content' in m }}{% endfor %}
{{ messages[0]['role'] }}{{ messages[-1].content }}{{ (messages | last).role }}{{ messages[1:] | length }}{{ messages[0].content[:3] }}
{{ tools | tojson if tools else 'none' }}{{ tools is none }}
{{ 'ÀÉ ß ǆ' | lower }}{{ 'àé ß' | upper }}{{ 'été à la' | title }}{{ '日本語テキスト'[1:3] }}{{ '日本語' | length }}{{ '日本語' | reverse }}{{ '\u3000x\u3000' | trim }}
{{ 10 is divisibleby 5 and 3 is odd }}{{ (x | string) ~ 'a' }}{{ x | string | length }}{{ -x | abs }}{{ [1, 2, 3] | length > 2 }}{{ 'a' if l | length == 2 else 'b' }}
{{ s if s is not string else s | upper }}{{ (l | first) + (l | last) }}{{ l | map('string') | list }}{{ l | list | tojson }}
{{ 1 / 0 }}
{{ 'a' + 1 }}
{{ s.nomethod() }}
{{ nofunction() }}
{% set d.x = 1 %}
{{ d.items is callable }}{{ (1, 2) == [1, 2] }}{{ (1, 2) + (3,) }}{{ (1, 2, 3)[1:] }}
{{ x | nosuchfilter }}
{{ l.0 }}{{ [[1, 2]].0.1 }}
{% for x in 'abc' %}{{ x }}{% endfor %}{% for x in l | reverse %}{{ x }}{% endfor %}{% for x in [1, 2, 3][::-1] %}{{ x }}{% endfor %}
{% set x = 5 %}{% if x %}{% set x = 6 %}{% endif %}{{ x }}{% set y = [] %}{{ y }}{% set z = {'a': 1} %}{{ z.a }}
{% for i in l %}{% for j in l %}{% if loop.index > 1 %}{% break %}{% endif %}{{ i }}{{ j }}{% endfor %}{% endfor %}
{{ 0.1 + 0.2 }}{{ 1e16 }}{{ 123456789012345.0 }}{{ 1e-5 }}{{ 0.0001 }}{{ 1.0 }}{{ -0.0 }}{{ 3.0 * 2 }}{{ 7 % 2.5 }}{{ 2 ** -1 }}{{ 2 ** 0.5 }}
{{ messages | tojson }}{{ messages }}
"""

# Constructs over several lines cannot stand in the list above.
LONG = [
    "{% if true %}\n  a\n{% endif %}\n  {% set x = 1 %}\n  b\n\n{{ x }}\n",
    "a\n    {%- if true %}\n    b\n    {%- endif %}\n    {{- 'c' }}\n  {# c #}\n  d\r\ne\rf\n\n",
    "{% for m in messages -%}\n  {{ m.role }}\n{%- endfor %}\n\n{%- for m in messages %}\n{{ m.role }}\n{% endfor %}\n",
    "  {% raw %}\n  {{ x }}\n  {% endraw %}\n z",
    "{{ 'multi\nline' }}\n\t{%+ if true %}x{%+ endif %}\n\t {% if true %}\n\ty {% endif %}  \n{{ '' -}}  \n\n z",
]

EXTRA = {"x": 3, "s": "hello", "l": [1, 2, 3, 4], "d": {"a": 1, "n": {"x": "y", "y": [7]}, "b": "two"}}

WORDS = ["hello", "<think>", "</think>", "a b", "  padded  ", "line\nbreak", "日本語", "🙂", "<|im_end|>", "{{ x }}", "\"q\"", "it's", "", "é", "<｜User｜>", "1234", "\n\n", "def f():\n\treturn 1"]


def random_text(r):
    return " ".join(r.choice(WORDS) for _ in range(r.randint(0, 5)))


def random_tools(r):
    tools = []
    for i in range(r.randint(0, 2)):
        tools.append({"type": "function", "function": {
            "name": f"tool_{i}", "description": random_text(r),
            "parameters": {"type": "object", "properties": {
                "city": {"type": "string", "description": random_text(r)},
                "unit": {"type": ["string", "null"], "enum": ["c", "f"]},
                "n": {"type": "integer", "default": 1}, "deep": {"type": "array", "items": {"type": "number"}}},
                "required": ["city"]}}})
    return tools


def random_messages(r, with_tools):
    messages = []
    if r.random() < 0.5:
        messages.append({"role": "system", "content": random_text(r)})
    for _ in range(r.randint(1, 3)):
        messages.append({"role": "user", "content": random_text(r)})
        kind = r.random()
        if with_tools and kind < 0.4:
            calls = [{"id": f"call{i:05d}", "type": "function",
                      "function": {"name": "tool_0", "arguments": {"city": random_text(r), "n": i}}}
                     for i in range(r.randint(1, 2))]
            messages.append({"role": "assistant", "content": r.choice(["", random_text(r)]), "tool_calls": calls})
            for call in calls:
                messages.append({"role": "tool", "content": random_text(r), "tool_call_id": call["id"], "name": "tool_0"})
            if r.random() < 0.7:
                messages.append({"role": "assistant", "content": random_text(r)})
        elif kind < 0.8:
            m = {"role": "assistant", "content": random_text(r)}
            if r.random() < 0.4:
                m["reasoning_content"] = "I think " + random_text(r)
            messages.append(m)
    return messages


def real_templates(folder):
    found = {}
    for path in sorted(pathlib.Path(folder).rglob("*.jinja")):
        found[str(path)] = path.read_text(encoding="utf-8")
    for path in sorted(pathlib.Path(folder).rglob("tokenizer_config.json")):
        template = json.loads(path.read_text(encoding="utf-8")).get("chat_template")
        named = template if isinstance(template, list) else [{"name": "", "template": template}]
        for entry in named:
            if entry["template"]:
                found[f"{path}:{entry['name']}"] = entry["template"]
    return found


def python_view(messages):
    """As fathom hands messages to a template: empty fields are absent."""
    return [{k: v for k, v in m.items() if v or k in ("role", "content")} for m in messages]


def expected(env, case, as_strings):
    messages = python_view(json.loads(json.dumps(case["messages"])))
    if as_strings:
        for m in messages:
            for call in m.get("tool_calls", []):
                call["function"]["arguments"] = json.dumps(call["function"]["arguments"], ensure_ascii=False)
    try:
        return env.from_string(case["template"]).render(
            messages=messages, tools=case["tools"] or None, documents=None, bos_token=case["bos"], eos_token=case["eos"],
            add_generation_prompt=case["generation_prompt"], **case["extra"]), None
    except Exception as e:  # whatever jinja2 or Python has against it
        return None, f"{type(e).__name__}: {e}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tests", help="the built test_tokens")
    parser.add_argument("--write", help="write the small cases and jinja2's answers here, and stop")
    parser.add_argument("--templates", help="a folder with real templates")
    parser.add_argument("--rounds", type=int, default=20, help="random conversations for each real template")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()

    r = random.Random(args.seed)
    cases = []
    chat = [{"role": "system", "content": "sys"}, {"role": "user", "content": "hi <b>"}, {"role": "assistant", "content": "yo"}]
    for template in [line for line in SMALL.split("\n") if line] + LONG:
        cases.append({"name": template, "template": template, "messages": chat, "tools": [], "extra": EXTRA,
                      "bos": "<s>", "eos": "</s>", "generation_prompt": True})
    if args.write:
        env = environment()
        rows = [{"template": c["template"], "expected": expected(env, c, False)[0]} for c in cases]
        document = {"messages": chat, "extra": EXTRA, "cases": rows}
        pathlib.Path(args.write).write_text(json.dumps(document, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        return
    if not args.tests:
        parser.error("--tests is needed")
    real = real_templates(args.templates) if args.templates else {}
    for name, template in real.items():
        for _ in range(args.rounds):
            tools = random_tools(r)
            extra = r.choice([{}, {}, {"enable_thinking": True}, {"enable_thinking": False}, {"thinking": True}])
            cases.append({"name": name, "template": template, "messages": random_messages(r, bool(tools)), "tools": tools,
                          "extra": extra, "bos": "<s>", "eos": "</s>", "generation_prompt": r.random() < 0.7})

    env = environment()
    for case in cases:
        case["expected"], case["refused"] = expected(env, case, False)
        if case["refused"] and any("tool_calls" in m for m in case["messages"]):
            again, refused = expected(env, case, True)
            if not refused:
                case["expected"], case["refused"] = again, None

    with tempfile.TemporaryDirectory() as folder:
        given, out = os.path.join(folder, "cases.json"), os.path.join(folder, "out.json")
        with open(given, "w", encoding="utf-8") as f:
            json.dump(cases, f)
        run = subprocess.run([args.tests, "--gtest_filter=GoldenDriver.Render"], capture_output=True, text=True,
                             env={**os.environ, "FATHOM_GOLDEN_TEMPLATES": given, "FATHOM_GOLDEN_OUT": out})
        if run.returncode != 0:
            sys.exit(run.stdout + run.stderr)
        with open(out, encoding="utf-8") as f:
            results = json.load(f)

    bad = {}
    for case, result in zip(cases, results):
        if case["refused"]:
            if "error" not in result:
                bad.setdefault(case["name"], []).append(("jinja2 refuses: " + case["refused"], result["text"]))
        elif result.get("text") != case["expected"]:
            bad.setdefault(case["name"], []).append((case["expected"], result.get("text", result.get("error"))))
    for name, differences in bad.items():
        print(f"--- {name[:200]}: {len(differences)} differ\n  jinja2: {differences[0][0]!r:.1500}\n  fathom: {differences[0][1]!r:.1500}")
    print(f"{len(cases)} cases, {len(real)} real templates, {sum(map(len, bad.values()))} differences in {len(bad)} templates")
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
