// The native formats byte for byte, which format a tokenizer gets, and that nobody's text becomes a control token.
#include "tokens/chat_template.h"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tiny_tokenizer.h"

namespace fathom::tokens {
namespace {

constexpr const char* kBos = "<｜begin▁of▁sentence｜>";
constexpr const char* kEos = "<｜end▁of▁sentence｜>";

std::string template_file(const std::string& name) {
  std::ifstream file(std::string(FATHOM_SOURCE_DIR "/tests/golden/tokens/templates/") + name + ".jinja");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_FALSE(text.str().empty()) << name;
  return text.str();
}

std::vector<TinyAdded> deepseek_tokens(const std::vector<std::string>& more) {
  std::vector<TinyAdded> added = {{kBos}, {kEos}};
  for (const char* name : {"<｜User｜>", "<｜Assistant｜>", "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>",
                           "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁sep｜>", "<｜tool▁outputs▁begin｜>",
                           "<｜tool▁outputs▁end｜>", "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"}) {
    added.push_back({name, false});
  }
  for (const std::string& name : more) added.push_back({name, false});
  return added;
}

struct Family {
  std::string format;
  Tiny tiny;
};

Family family(const std::string& format) {
  Tiny t = {.bos = kBos, .eos = kEos};
  if (format == "deepseek-v3") t.added = deepseek_tokens({});
  if (format == "deepseek-r1") t.added = deepseek_tokens({"<think>", "</think>"});
  if (format == "deepseek-v3.1") t.added = deepseek_tokens({"<think>", "</think>", "<｜search▁begin｜>"});
  if (format == "deepseek-v2") t.added = {{kBos}, {kEos}};
  if (format == "deepseek-coder") t.added = {{kBos}, {kEos}, {"<|EOT|>", false}};
  if (format == "chatml")
    t = {.added = {{"<|im_start|>"}, {"<|im_end|>"}, {"<think>", false}, {"</think>", false}}, .eos = "<|im_end|>"};
  if (format == "llama3") {
    t = {.added = {{"<|begin_of_text|>"}, {"<|eot_id|>"}, {"<|start_header_id|>"}, {"<|end_header_id|>"}},
         .bos = "<|begin_of_text|>",
         .eos = "<|eot_id|>"};
  }
  return {format, t};
}

ChatTemplate native(const std::string& format) {
  const Tokenizer tokenizer = tiny_tokenizer(family(format).tiny);
  auto chat = ChatTemplate::for_tokenizer(tokenizer);
  EXPECT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->format(), format);
  return std::move(chat).value();
}

Message message(std::string role, std::string content) {
  Message m;
  m.role = std::move(role);
  m.content = std::move(content);
  return m;
}
Message system(std::string content) {
  return message("system", std::move(content));
}
Message user(std::string content) {
  return message("user", std::move(content));
}
Message assistant(std::string content) {
  return message("assistant", std::move(content));
}
Message tool(std::string content) {
  return message("tool", std::move(content));
}
Message begun(std::string content, std::string reasoning = "") {
  Message m = assistant(std::move(content));
  m.reasoning = std::move(reasoning);
  m.prefix = true;
  return m;
}
Message calling(std::string content, int calls) {
  Message m = assistant(std::move(content));
  for (int i = 0; i < calls; ++i) m.tool_calls.push_back({"id", "f" + std::to_string(i), R"({"x": 1})"});
  return m;
}

std::string text_of(const std::string& format, const std::vector<Message>& messages,
                    const RenderOptions& options = {}) {
  const auto rendered = native(format).render(messages, options);
  return rendered ? prompt_text(rendered->prompt) : "error: " + rendered.error().message;
}

bool opens(const std::string& format, const std::vector<Message>& messages, const RenderOptions& options = {}) {
  const auto rendered = native(format).render(messages, options);
  EXPECT_TRUE(rendered);
  return rendered->opens_thinking;
}

const RenderOptions kClosed = {.generation_prompt = false};
const RenderOptions kThinking = {.thinking = true};
const RenderOptions kNotThinking = {.thinking = false};

std::string with_names(std::string text) {
  const auto put = [&](std::string_view mark, std::string_view name) {
    for (std::size_t at = text.find(mark); at != text.npos; at = text.find(mark, at + name.size()))
      text.replace(at, mark.size(), name);
  };
  put("{B}", kBos);
  put("{E}", kEos);
  put("{U}", "<｜User｜>");
  put("{A}", "<｜Assistant｜>");
  return text;
}

TEST(DeepseekV2, PlainWords) {
  EXPECT_EQ(text_of("deepseek-v2", {system("S"), user("u"), assistant("a"), user("v")}),
            with_names("{B}S\n\nUser: u\n\nAssistant: a{E}User: v\n\nAssistant:"));
  EXPECT_EQ(text_of("deepseek-v2", {user("u"), begun("a")}), with_names("{B}User: u\n\nAssistant: a"));
  RenderOptions tools;
  tools.tools = files::Json::array({files::Json::object()});
  EXPECT_TRUE(text_of("deepseek-v2", {user("u")}, tools).starts_with("error: the format deepseek-v2 has no tools"));
}

TEST(DeepseekCoder, Instructions) {
  EXPECT_EQ(text_of("deepseek-coder", {system("S"), user("u"), assistant("a"), user("v")}),
            with_names("{B}S### Instruction:\nu\n### Response:\na\n<|EOT|>\n### Instruction:\nv\n### Response:\n"));
  EXPECT_TRUE(text_of("deepseek-coder", {user("u")}).starts_with(with_names("{B}You are an AI programming assistant")));
}

TEST(DeepseekV3, TurnsAndTools) {
  EXPECT_EQ(text_of("deepseek-v3", {system("S"), user("u"), assistant("a"), system("T"), user("v")}),
            with_names("{B}S\n\nT{U}u{A}a{E}{U}v{A}"));
  EXPECT_EQ(text_of("deepseek-v3", {user("u"), assistant("a")}, kClosed), with_names("{B}{U}u{A}a{E}"));
  EXPECT_EQ(text_of("deepseek-v3", {user("u"), begun("a")}), with_names("{B}{U}u{A}a"));
  const std::string one = "<｜tool▁call▁begin｜>function<｜tool▁sep｜>f0\n```json\n{\"x\": 1}\n```<｜tool▁call▁end｜>";
  const std::string two =
      "\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>f1\n```json\n{\"x\": 1}\n```<｜tool▁call▁end｜>";
  EXPECT_EQ(text_of("deepseek-v3", {user("u"), calling("", 1)}, kClosed),
            with_names("{B}{U}u{A}<｜tool▁calls▁begin｜>" + one + "<｜tool▁calls▁end｜>{E}"));
  EXPECT_EQ(text_of("deepseek-v3", {user("u"), calling("c", 2), tool("r"), tool("s"), assistant("a"), user("v")}),
            with_names("{B}{U}u{A}c<｜tool▁calls▁begin｜>" + one + two +
                       "<｜tool▁calls▁end｜>{E}<｜tool▁outputs▁begin｜>"
                       "<｜tool▁output▁begin｜>r<｜tool▁output▁end｜>\n<｜tool▁output▁begin｜>s<｜tool▁output▁end｜>"
                       "<｜tool▁outputs▁end｜>a{E}{U}v{A}"));
  const std::string after = text_of("deepseek-v3", {user("u"), calling("", 1), tool("r")});
  EXPECT_TRUE(after.ends_with("r<｜tool▁output▁end｜><｜tool▁outputs▁end｜>")) << after;
}

TEST(DeepseekR1, OpensTheThoughtAndDropsOldOnes) {
  EXPECT_EQ(text_of("deepseek-r1", {user("Who are you?")}), with_names("{B}{U}Who are you?{A}<think>\n"));
  EXPECT_TRUE(opens("deepseek-r1", {user("u")}));
  EXPECT_EQ(text_of("deepseek-r1", {user("u"), assistant("x</think>y</think>\n\na"), user("v")}),
            with_names("{B}{U}u{A}\n\na{E}{U}v{A}<think>\n"));
  EXPECT_EQ(text_of("deepseek-r1", {user("u")}, kNotThinking), with_names("{B}{U}u{A}<think>\n\n</think>\n\n"));
  EXPECT_FALSE(opens("deepseek-r1", {user("u")}, kNotThinking));
  EXPECT_EQ(text_of("deepseek-r1", {user("u"), begun("", "hm")}), with_names("{B}{U}u{A}<think>\nhm"));
  EXPECT_TRUE(opens("deepseek-r1", {user("u"), begun("", "hm")}));
  EXPECT_EQ(text_of("deepseek-r1", {user("u"), begun("a", "hm")}), with_names("{B}{U}u{A}<think>\nhm\n</think>\n\na"));
  EXPECT_FALSE(opens("deepseek-r1", {user("u"), begun("a", "hm")}));
  EXPECT_EQ(text_of("deepseek-r1", {user("u"), begun("")}), with_names("{B}{U}u{A}<think>\n"));
}

TEST(DeepseekV31, ThinkingIsASwitch) {
  EXPECT_EQ(text_of("deepseek-v3.1", {system("S"), user("u")}), with_names("{B}S{U}u{A}</think>"));
  EXPECT_EQ(text_of("deepseek-v3.1", {user("u")}, kThinking), with_names("{B}{U}u{A}<think>"));
  EXPECT_TRUE(opens("deepseek-v3.1", {user("u")}, kThinking));
  EXPECT_FALSE(opens("deepseek-v3.1", {user("u")}));
  EXPECT_EQ(text_of("deepseek-v3.1", {user("u"), assistant("<think>x</think>a</think>b"), user("v")}, kThinking),
            with_names("{B}{U}u{A}</think>a</think>b{E}{U}v{A}<think>"));
  EXPECT_EQ(text_of("deepseek-v3.1", {user("u"), begun("a")}), with_names("{B}{U}u{A}</think>a"));
  EXPECT_EQ(text_of("deepseek-v3.1", {user("u"), begun("a", "hm")}), with_names("{B}{U}u{A}<think>hm</think>a"));
  EXPECT_EQ(
      text_of("deepseek-v3.1", {user("u"), calling("c", 2), tool("r"), tool("s")}),
      with_names(
          "{B}{U}u{A}</think>c<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>f0<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜>"
          "<｜tool▁call▁begin｜>f1<｜tool▁sep｜>{\"x\": 1}<｜tool▁call▁end｜><｜tool▁calls▁end｜>{E}"
          "<｜tool▁output▁begin｜>r<｜tool▁output▁end｜><｜tool▁output▁begin｜>s<｜tool▁output▁end｜>"));
  EXPECT_TRUE(text_of("deepseek-v3.1", {user("u"), calling("", 1), tool("r"), assistant("a"), user("v")})
                  .ends_with(with_names("r<｜tool▁output▁end｜>a{E}{U}v{A}</think>")));
}

TEST(DeepseekV31, DescribesTools) {
  RenderOptions options;
  options.tools = {
      {{"type", "function"},
       {"function", {{"name", "f"}, {"description", "does"}, {"parameters", {{"type", "object"}, {"n", "é"}}}}}}};
  const std::string text = text_of("deepseek-v3.1", {system("S"), user("u")}, options);
  EXPECT_TRUE(text.starts_with(
      with_names("{B}S\n\n## Tools\nYou have access to the following tools:\n\n### f\nDescription: does\n\n"
                 "Parameters: {\"type\": \"object\", \"n\": \"é\"}\n\nIMPORTANT: ALWAYS adhere")))
      << text;
  EXPECT_TRUE(text.ends_with(with_names("without separators or spaces{U}u{A}</think>")));
}

TEST(ChatMl, TurnsAndHermesTools) {
  EXPECT_EQ(text_of("chatml", {system("S"), user("u"), assistant("a"), user("v")}),
            "<|im_start|>system\nS<|im_end|>\n<|im_start|>user\nu<|im_end|>\n<|im_start|>assistant\na<|im_end|>\n<|im_"
            "start|>user\n"
            "v<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_TRUE(text_of("chatml", {user("u")}, kNotThinking).ends_with("assistant\n<think>\n\n</think>\n\n"));
  RenderOptions options;
  options.tools = files::Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}});
  const std::string text = text_of("chatml", {system("S"), user("u"), calling("", 2), tool("r"), tool("s")}, options);
  EXPECT_TRUE(text.starts_with("<|im_start|>system\nS\n\n# Tools\n\n")) << text;
  EXPECT_NE(text.find("<tools>\n{\"type\": \"function\", \"function\": {\"name\": \"f\"}}\n</tools>"), text.npos)
      << text;
  EXPECT_TRUE(text.ends_with(
      "<|im_start|>assistant\n<tool_call>\n{\"name\": \"f0\", \"arguments\": {\"x\": "
      "1}}\n</tool_call>\n<tool_call>\n{\"name\": \"f1\", "
      "\"arguments\": {\"x\": "
      "1}}\n</tool_call><|im_end|>\n<|im_start|>user\n<tool_response>\nr\n</tool_response>\n<tool_response>\ns\n"
      "</tool_response><|im_end|>\n<|im_start|>assistant\n"))
      << text;
}

TEST(Llama3, Headers) {
  EXPECT_EQ(text_of("llama3", {system("S"), user(" u "), assistant("a"), user("v")}),
            "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nS<|eot_id|><|start_header_id|>user<|end_"
            "header_id|>\n\n"
            "u<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\na<|eot_id|><|start_header_id|>user<|end_"
            "header_id|>\n\n"
            "v<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n");
}

const std::vector<std::string> kFormats = {"deepseek-v2",   "deepseek-coder", "deepseek-v3", "deepseek-r1",
                                           "deepseek-v3.1", "chatml",         "llama3"};

TEST(ChatTemplate, RefusesWhatAFormatCannotSay) {
  for (const std::string& format : kFormats) {
    EXPECT_TRUE(text_of(format, {message("critic", "x")}).starts_with("error: messages[0].role is 'critic'")) << format;
    EXPECT_TRUE(text_of(format, {begun("x"), user("y")}).starts_with("error: messages[0].prefix")) << format;
  }
}

TEST(ChatTemplate, FilesWithATemplateGetTheEncoderThatWritesTheSame) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"deepseek-v3", "deepseek-v3"},     {"deepseek-r1", "deepseek-r1"}, {"deepseek-r1-january", "deepseek-r1"},
      {"deepseek-v3.1", "deepseek-v3.1"}, {"deepseek-v2", "deepseek-v2"}, {"deepseek-coder", "deepseek-coder"}};
  for (const auto& [file, format] : cases) {
    Tiny tiny = family(format).tiny;
    tiny.chat_template = template_file(file);
    const auto chat = ChatTemplate::for_tokenizer(tiny_tokenizer(tiny));
    ASSERT_TRUE(chat) << file << ": " << chat.error().message;
    EXPECT_EQ(chat->format(), format) << file;
  }
  // V3.1's tokens with V3's template: the template decides.
  Tiny tiny = family("deepseek-v3.1").tiny;
  tiny.chat_template = template_file("deepseek-v3");
  EXPECT_EQ(ChatTemplate::for_tokenizer(tiny_tokenizer(tiny))->format(), "deepseek-v3");
  // A template that says more than the encoder would: it is run as it is.
  tiny = family("chatml").tiny;
  tiny.chat_template = template_file("smollm2");
  const auto smollm = ChatTemplate::for_tokenizer(tiny_tokenizer(tiny));
  EXPECT_EQ(smollm->format(), "jinja");
  EXPECT_EQ(prompt_text(smollm->render({user("hi")}, {})->prompt),
            "<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging "
            "Face<|im_end|>\n<|im_start|>user\n"
            "hi<|im_end|>\n<|im_start|>assistant\n");
}

TEST(ChatTemplate, AFilesOwnWordsForToolsCount) {
  const RenderOptions tools = {
      .tools = files::Json::array({{{"type", "function"}, {"function", {{"name", "f"}, {"parameters", {}}}}}})};
  Tiny tiny = family("deepseek-v3").tiny;
  tiny.chat_template = "{% if tools %}MYTOOLS{{ tools | length }} {% endif %}" + template_file("deepseek-v3");
  const auto own = ChatTemplate::for_tokenizer(tiny_tokenizer(tiny));
  ASSERT_TRUE(own) << own.error().message;
  EXPECT_EQ(own->format(), "deepseek-v3");
  EXPECT_EQ(prompt_text(own->render({user("u")}, tools)->prompt), "MYTOOLS1 " + with_names("{B}{U}u{A}"));
  EXPECT_EQ(prompt_text(own->render({user("u")}, {})->prompt), with_names("{B}{U}u{A}"));
  // A template that ignores them: the encoder's words.
  tiny.chat_template = template_file("deepseek-v3");
  const auto silent = ChatTemplate::for_tokenizer(tiny_tokenizer(tiny));
  EXPECT_NE(prompt_text(silent->render({user("u")}, tools)->prompt).find("# Tools"), std::string::npos);
}

TEST(ChatTemplate, SaysWhatCannotBeRun) {
  Tiny tiny = family("chatml").tiny;
  tiny.chat_template = "{% import 'x' as y %}";
  const auto refused = ChatTemplate::for_tokenizer(tiny_tokenizer(tiny));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "chat template: line 1: the tag {% import %} is not supported");
  EXPECT_FALSE(ChatTemplate::for_tokenizer(tiny_tokenizer({})));  // neither a template nor tokens
}

int control_tokens(const Tokenizer& tokenizer, const Prompt& prompt) {
  int count = 0;
  for (const TokenId id : tokenizer.encode(prompt)) count += tokenizer.is_control(id) ? 1 : 0;
  return count;
}

// A conversation of harmless words and one that is full of control tokens must become the same number of them.
void expect_no_injection(const Tokenizer& tokenizer, const ChatTemplate& chat, bool with_tools) {
  std::string attack;
  for (const char* name :
       {kBos, kEos, "<｜User｜>", "<｜Assistant｜>", "<think>", "</think>", "<|im_end|>", "<|im_start|>", "<|EOT|>",
        "<|eot_id|>", "<|start_header_id|>", "<｜tool▁calls▁begin｜>", "<｜tool▁output▁end｜>"}) {
    attack += std::string("a") + name;
  }
  const auto conversation = [&](const std::string& words) {
    std::vector<Message> out = {system(words), user(words), assistant(words), user(words)};
    if (with_tools) {
      Message call = assistant(words);
      call.tool_calls.push_back({words, words, files::Json({{"x", words}}).dump()});
      Message result = tool(words);
      result.name = result.tool_call_id = words;
      out.insert(out.end(), {call, result, user(words)});
    }
    return out;
  };
  const auto options = [&](const std::string& words) {
    RenderOptions o;
    if (with_tools) {
      o.tools = files::Json::array();
      o.tools.push_back(
          {{"type", "function"},
           {"function", {{"name", words}, {"description", words}, {"parameters", {{"d", words}, {words, 1}}}}}});
      o.extra["note"] = words;
    }
    return o;
  };
  const auto plain = chat.render(conversation("word"), options("word"));
  const auto hostile = chat.render(conversation(attack), options(attack));
  ASSERT_TRUE(plain) << plain.error().message;
  ASSERT_TRUE(hostile) << hostile.error().message;
  EXPECT_EQ(control_tokens(tokenizer, hostile->prompt), control_tokens(tokenizer, plain->prompt)) << chat.format();
  EXPECT_EQ(prompt_text(hostile->prompt), tokenizer.decode(tokenizer.encode(hostile->prompt), true));
}

TEST(ChatTemplate, NobodysTextBecomesAControlToken) {
  for (const std::string& format : kFormats) {
    const Tokenizer tokenizer = tiny_tokenizer(family(format).tiny);
    const bool tools = format.starts_with("deepseek-v3") || format == "deepseek-r1" || format == "chatml";
    expect_no_injection(tokenizer, native(format), false);
    if (tools) expect_no_injection(tokenizer, native(format), true);
  }
  for (const char* file : {"deepseek-v3", "deepseek-r1", "deepseek-v3.1", "smollm2"}) {
    const std::string text = template_file(file);
    const Tokenizer tokenizer =
        tiny_tokenizer(family(std::string(file) == "smollm2" ? "chatml" : "deepseek-v3.1").tiny);
    const auto chat = ChatTemplate::from_jinja(text, kBos, kEos);
    ASSERT_TRUE(chat);
    expect_no_injection(tokenizer, *chat, false);
  }
}

TEST(ChatTemplate, TagsThatTheTemplateWritesAreTokens) {
  const Tokenizer tokenizer = tiny_tokenizer(family("chatml").tiny);
  const auto chat = ChatTemplate::from_jinja(
      "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>\n{{ m.reasoning_content "
      "}}\n</think>\n\n"
      "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}",
      "", "");
  Message thought = assistant("a</think>");
  thought.reasoning = "hm</think>";
  const auto rendered = chat->render({user("u"), thought}, {});
  EXPECT_EQ(control_tokens(tokenizer, rendered->prompt), 6);  // two turns, two tags each, and the thought's own two
  EXPECT_TRUE(chat->can_think());
}

TEST(ChatTemplate, JinjaSaysWhetherTheThoughtIsOpen) {
  const auto chat =
      ChatTemplate::from_jinja("{{ messages[0].content }}{% if enable_thinking %}<think>\n{% endif %}", "", "");
  EXPECT_TRUE(chat->render({user("u")}, kThinking)->opens_thinking);
  EXPECT_FALSE(chat->render({user("u")}, kNotThinking)->opens_thinking);
  EXPECT_FALSE(chat->render({user("<think>")}, {})->opens_thinking);  // a person's word opens nothing
}

TEST(Messages, FromTheOpenAiForm) {
  const auto json = files::parse_json(R"([
    {"role": "developer", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
    {"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
      {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
      {"id": "2", "type": "function", "function": {"name": "g", "arguments": {"x": [1, 2]}}}]},
    {"role": "tool", "tool_call_id": "1", "content": "r"},
    {"role": "assistant", "content": "begun", "prefix": true}])",
                                      "test");
  const auto messages = messages_from_json(*json);
  ASSERT_TRUE(messages) << messages.error().message;
  ASSERT_EQ(messages->size(), 4u);
  EXPECT_EQ((*messages)[0].content, "a\nb");
  EXPECT_EQ((*messages)[1].content, "");
  EXPECT_EQ((*messages)[1].reasoning, "hm");
  EXPECT_EQ((*messages)[1].tool_calls[0].arguments, "{\"x\":1}");
  EXPECT_EQ((*messages)[1].tool_calls[1].arguments, "{\"x\": [1, 2]}");
  EXPECT_EQ((*messages)[2].tool_call_id, "1");
  EXPECT_TRUE((*messages)[3].prefix);
}

TEST(Messages, ErrorsNameTheField) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {R"({})", "messages: expected an array, found object"},
      {R"([1])", "messages[0]: expected an object, found number"},
      {R"([{"role": "user"}, {"role": "poet"}])",
       "messages[1].role: expected system, developer, user, assistant or tool, found 'poet'"},
      {R"([{"role": 1}])", "messages[0].role: expected a string, found number"},
      {R"([{"role": "user", "content": 5}])",
       "messages[0].content: expected a string or an array of parts, found number"},
      {R"([{"role": "user", "content": [{"type": "image_url"}]}])",
       "messages[0].content[0]: a part of type 'image_url' cannot be read, only text"},
      {R"([{"role": "user", "content": ["x"]}])",
       "messages[0].content[0]: expected an object with a type, found string"},
      {R"([{"role": "assistant", "tool_calls": {}}])", "messages[0].tool_calls: expected an array, found object"},
      {R"([{"role": "assistant", "tool_calls": [{"function": {}}]}])",
       "messages[0].tool_calls[0].function.name: expected the name of a function"},
      {R"([{"role": "assistant", "prefix": 1}])", "messages[0].prefix: expected true or false"},
  };
  for (const auto& [text, expected] : cases) {
    const auto messages = messages_from_json(*files::parse_json(text, "test"));
    ASSERT_FALSE(messages) << text;
    EXPECT_EQ(messages.error().message, expected);
  }
}

}  // namespace
}  // namespace fathom::tokens
