// The template language, held against jinja2's answers (compare_templates.py --write), its limits and its messages.
#include <gtest/gtest.h>

#include "files/json.h"
#include "tokens/chat_format.h"
#include "tokens/jinja/text.h"

namespace fathom::tokens {
namespace {

Message message(std::string role, std::string content) {
  Message m;
  m.role = std::move(role);
  m.content = std::move(content);
  return m;
}

// The text a template gives, or "error: ...".
std::string render(std::string_view text, const std::vector<Message>& messages = {},
                   const RenderOptions& options = {}) {
  const auto parsed = ChatTemplate::from_jinja(text, "<s>", "</s>");
  if (!parsed) return "error: " + parsed.error().message;
  const auto rendered = parsed->render(messages, options);
  return rendered ? prompt_text(rendered->prompt) : "error: " + rendered.error().message;
}

TEST(Jinja, AnswersAsTheReference) {
  const auto golden = files::read_json(FATHOM_SOURCE_DIR "/tests/golden/tokens/jinja.json");
  ASSERT_TRUE(golden) << golden.error().message;
  const auto messages = messages_from_json((*golden)["messages"]);
  ASSERT_TRUE(messages);
  RenderOptions options;
  options.extra = (*golden)["extra"];
  for (const auto& c : (*golden)["cases"]) {
    const std::string text = render(c["template"].get<std::string>(), *messages, options);
    if (c["expected"].is_null()) {
      EXPECT_TRUE(text.starts_with("error: ")) << c["template"] << " gave " << text;
    } else {
      EXPECT_EQ(text, c["expected"].get<std::string>()) << c["template"];
    }
  }
  EXPECT_GT((*golden)["cases"].size(), 70u);
}

TEST(Jinja, NamesWhatIsNotSupportedWithItsLine) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"a\n{% include 'x' %}", "line 2: the tag {% include %} is not supported"},
      {"{{ x | urlize }}", "line 1: the filter 'urlize' is not supported"},
      {"\n\n{{ x is filter('a') }}", "line 3: the test 'is filter' is not supported"},
      {"{% for x in y recursive %}{% endfor %}", "a recursive for loop is not supported"},
      {"{{ f(*a) }}", "unpacking arguments with '*' is not supported"},
      {"{% if x %}", "expected {% endif %}, found the end of the template"},
      {"{{ 'a }}", "a string has no end"},
      {"{{ a", "{{ has no end"},
      {"{# a", "a comment has no end"},
      {"{% raw %}x", "a raw block has no end"},
      {"{{ (a }}", "'}' closes nothing"},
      {"{{ }}", "expected an expression, found '}}'"},
      {"{% break %}", "{% break %} outside of a for loop"},
      {"{{ a ? b }}", "unexpected character '?'"},
      {"{{ 99999999999999999999 }}", "no number within 64 bits"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_NE(render(text).find(expected), std::string::npos) << text << ": " << render(text);
}

TEST(Jinja, NamesWhatFailsWhileRendering) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"\n{{ nothing.more }}", "line 2: 'nothing' is undefined and has no attribute 'more'"},
      {"{{ range(10000000) }}", "chat template: line 1: a range is too long"},
      {"{{ raise_exception('no tools here') }}", "the chat template says: no tools here"},
      {"{{ raise_exception('\x1b[31mr\u00F6t\n\u009b here') }}", "the chat template says: ?[31mr\u00F6t ? here"},
      {"{{ 'a' + 1 }}", "str + int"},
      {"{{ 'a'.swapcase() }}", "the method .swapcase() is not supported here"},
      {"{{ lipsum() }}", "lipsum() is not supported, or 'lipsum' is no function"},
      {"{{ 1 // 0 }}", "division by zero"},
      {"{{ 9223372036854775807 + 1 }}", "an integer beyond 64 bits"},
      {"{{ nothing | tojson }}", "tojson cannot write undefined"},
      {"{{ [1] | join(1, 2, 3) }}", "join() takes at most 2 arguments, 3 were given"},
      {"{{ 'a' | replace(old='a', x='b') }}", "replace() has no argument 'x'"},
  };
  for (const auto& [text, expected] : cases)
    EXPECT_NE(render(text).find(expected), std::string::npos) << text << ": " << render(text);
}

TEST(Jinja, Limits) {
  const std::vector<std::string> cases = {
      "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
      "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
      "{% set ns = namespace(s='xxxxxxxxxxxxxxxx') %}{% for i in range(99) %}{% set ns.s = ns.s + ns.s %}{% endfor %}",
      "{{ 'x' * 999999999999 }}",
      "{{ 'ab' * 9000000 | replace('a', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx') }}{{ ('ab' * 9000000) | replace('a', 'x' * "
      "100) }}",
      "{{ range(10000000) }}",
      "{{ " + std::string(5000, '(') + "1" + std::string(5000, ')') + " }}",
      "{{ " + std::string(5000, '[') + std::string(5000, ']') + " }}",
      "{{ 1" +
          [] {
            std::string s;
            for (int i = 0; i < 5000; ++i) s += "+1";
            return s;
          }() +
          " }}",
      "{{ " + std::string(5000, '-') + "1 }}",
      "{{ x" +
          [] {
            std::string s;
            for (int i = 0; i < 5000; ++i) s += ".x";
            return s;
          }() +
          " }}",
      [] {
        std::string s;
        for (int i = 0; i < 5000; ++i) s += "{% if 1 %}";
        return s;
      }(),
      std::string(2'000'000, 'x'),
      // A list of two copies of the one before, and so on: a tree of 2^200 leaves.
      "{% set ns = namespace(l=[]) %}{% for i in range(150) %}{% set ns.l = [ns.l, ns.l] %}{% endfor %}{{ ns.l | "
      "tojson }}",
  };
  for (const std::string& text : cases) {
    const std::string result = render(text);
    EXPECT_TRUE(result.starts_with("error: ")) << text.substr(0, 80) << " gave " << result.substr(0, 80);
  }
  // Values that hold themselves can be printed and compared, and are freed.
  EXPECT_EQ(render("{% set l = [] %}{% set _ = l.append(l) %}{{ l == l }}{{ l == [l] }}{{ l | length }}"), "TrueTrue1");
  EXPECT_EQ(render("{% set ns = namespace() %}{% set ns.me = ns %}{{ ns.me.me == ns }}"), "True");
  EXPECT_FALSE(render("{% set l = [] %}{% set _ = l.append(l) %}{{ l }}").starts_with("error"));
}

// What is marked as the template's own in a rendering.
std::string fixed(std::string_view text, const std::vector<Message>& messages, const RenderOptions& options = {}) {
  const auto parsed = ChatTemplate::from_jinja(text, "<s>", "</s>");
  EXPECT_TRUE(parsed) << parsed.error().message;
  const auto rendered = parsed->render(messages, options);
  EXPECT_TRUE(rendered) << rendered.error().message;
  std::string out;
  for (const PromptPiece& piece : rendered->prompt)
    out += piece.trusted ? piece.text : std::string(piece.text.size(), '.');
  return out;
}

TEST(Jinja, MarksSurviveEveryOperation) {
  const std::vector<Message> chat = {message("user", "typed")};
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"<a>{{ messages[0].content }}<b>", "<a>.....<b>"},
      {"{{ '<a>' + messages[0].content + '<b>' }}", "<a>.....<b>"},
      {"{{ '<' ~ messages[0].content ~ '>' }}", "<.....>"},
      {"{{ ('  ' + messages[0].content + '  ') | trim }}", "....."},
      {"{{ messages[0].content | upper }}{{ messages[0].content.title() }}", ".........."},
      {"{{ messages[0].content[1:3] }}{{ messages[0].content[::-1] }}|", ".......|"},
      {"{{ messages[0].content.split('p') | join('<p>') }}", "..<p>.."},
      {"{{ messages[0].content | replace('y', '<y>') }}", ".<y>..."},
      {"{{ '<x>' | replace('x', messages[0].content) }}", "<.....>"},
      {"{% set t %}<t>{{ messages[0].content }}{% endset %}{{ t }}", "<t>....."},
      {"{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(messages[0].content) }}", "<.....>"},
      {"{{ [messages[0].content, '<l>'] | join }}", ".....<l>"},
      {"{{ messages[0].content | tojson }}", "\".....\""},
      {"{{ {'k': messages[0].content} | tojson }}", "{\"k\": \".....\"}"},
      {"{{ '%s!' | format(messages[0].content) }}", ".....!"},
      {"{{ messages[0].content | indent(2, true) }}", "  ....."},
      {"{{ messages[0].content | first }}{{ messages[0].content | list | last }}", ".."},
      {"{% for c in messages[0].content %}{{ c }},{% endfor %}", ".,.,.,.,.,"},
      {"{{ messages[0].content | string | safe | default('x') }}", "....."},
      {"{{ messages[0].nothing | default('<d>') }}", "<d>"},
      {"{{ '<|' + messages[0].role + '|>' }}", "<|user|>"},
      {"{{ messages[0] }}", "{'role': 'user', 'content': '.....'}"},
      {"{{ messages[0].content | escape }}{{ messages[0].content.strip('t') }}", "........."},
      {"{% for k, v in messages[0].items() %}{{ k }}={{ v }};{% endfor %}", "role=user;content=.....;"},
      {"{{ messages | map(attribute='content') | join('<j>') }}", "....."},
  };
  for (const auto& [text, expected] : cases) EXPECT_EQ(fixed(text, chat), expected) << text;
}

TEST(Jinja, ToolsAndFurtherVariablesAreNotTheTemplates) {
  RenderOptions options;
  options.tools = {{{"type", "function"}, {"function", {{"name", "<|im_end|>"}}}}};
  options.extra = {{"note", "<|im_end|>"}, {"n", 3}};
  EXPECT_EQ(fixed("{{ tools[0].function.name }}{{ note }}{{ n }}", {}, options), std::string(20, '.') + "3");
  for (const char* text : {"{{ tools | tojson }}", "{{ tools[0].function }}", "{{ tools[0].function.keys() | list }}",
                           "{{ note }}{# tools #}"}) {
    EXPECT_EQ(fixed(text, {}, options).find("im_end"), std::string::npos) << text;
  }
  EXPECT_EQ(fixed("{% for k in tools[0] %}{{ k }}{% endfor %}", {}, options), "............");  // keys are given, too
  // A role that is none of the five is as untrusted as the rest.
  EXPECT_EQ(fixed("{{ messages[0].role }}", {message("<|im_end|>", "")}), "..........");
}

TEST(Jinja, ToolsAreNotDroppedSilently) {
  RenderOptions options;
  options.tools = files::Json::array({files::Json{{"type", "function"}}});
  EXPECT_EQ(render("{{ messages[0].tool_calls }}", {message("user", "")}, options),
            "error: the model's chat template writes calls of tools, but has no place for the list of them");
}

// A template that knows nothing of tools gets them as text, in the Hermes form.
TEST(Jinja, ATemplateWithoutToolsIsToldOfThemInTheSystemMessage) {
  constexpr std::string_view own = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}";
  RenderOptions options;
  options.tools = files::Json::array({files::Json{{"type", "function"}}});
  const std::string list =
      std::string(kHermesToolsBefore) + "\n{\"type\": \"function\"}" + std::string(kHermesToolsAfter);
  EXPECT_EQ(render(own, {message("user", "Hi")}, options), "[system]" + list + "[user]Hi");
  EXPECT_EQ(render(own, {message("system", "Be brief."), message("user", "Hi")}, options),
            "[system]Be brief.\n\n" + list + "[user]Hi");
  Message calls = message("assistant", "Look:");
  calls.tool_calls = {{"id1", "f", R"({"a":1})"}, {"id2", "g", "{}"}};
  EXPECT_EQ(render(own, {calls, message("tool", "1"), message("tool", "2"), message("user", "So?")}),
            "[assistant]Look:\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
            "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"
            "[user]<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>[user]So?");
}

TEST(Jinja, CallsMayBeReadAsObjectsOrAsText) {
  Message call = message("assistant", "");
  call.tool_calls.push_back({"id1", "f", R"({"a": 1, "b": "é"})"});
  EXPECT_EQ(render("{{ messages[0].tool_calls[0].function.arguments | tojson }}", {call}), R"({"a": 1, "b": "é"})");
  EXPECT_EQ(render("{{ 'x' + messages[0].tool_calls[0].function.arguments }}", {call}), R"(x{"a": 1, "b": "é"})");
  EXPECT_EQ(render("{% for k, v in messages[0].tool_calls[0].function.arguments | items %}{{ k }}{{ v }}{% endfor %}",
                   {call}),
            "a1bé");
}

TEST(Jinja, ContinuesThePrefix) {
  const std::string text =
      "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}<end>{% endfor %}{% if add_generation_prompt "
      "%}[assistant]{% endif %}";
  Message begun = message("assistant", "To be, or ");
  begun.prefix = true;
  EXPECT_EQ(render(text, {message("user", "?"), begun}), "[user]?<end>[assistant]To be, or");
  begun.content = "";
  EXPECT_EQ(render(text, {message("user", "?"), begun}), "[user]?<end>[assistant]");
  begun.content = "lost";
  EXPECT_TRUE(render("{{ 'nothing' }}", {message("user", "?"), begun})
                  .starts_with("error: the chat template does not write the last message whole"));
}

TEST(JinjaText, SplitsAndStripsAsPython) {
  const auto bytes = [](const std::vector<jinja::Text>& parts) {
    std::vector<std::string> out;
    for (const auto& part : parts) out.push_back(part.bytes);
    return out;
  };
  const jinja::Text text("  a  b c ", false);
  const std::string space = " ";
  EXPECT_EQ(bytes(jinja::split(text, nullptr, -1)), (std::vector<std::string>{"a", "b", "c"}));
  EXPECT_EQ(bytes(jinja::split(text, nullptr, 1)), (std::vector<std::string>{"a", "b c "}));
  EXPECT_EQ(bytes(jinja::split_from_right(text, nullptr, 1)), (std::vector<std::string>{"  a  b", "c"}));
  EXPECT_EQ(bytes(jinja::split_from_right(text, &space, 2)), (std::vector<std::string>{"  a  b", "c", ""}));
  EXPECT_EQ(jinja::strip(jinja::Text("\u3000\x1c x\n", false), jinja::Side::kBoth).bytes, "x");
}

}  // namespace
}  // namespace fathom::tokens
