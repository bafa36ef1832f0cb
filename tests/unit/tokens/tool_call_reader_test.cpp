#include "tokens/tool_call_reader.h"

#include <gtest/gtest.h>

namespace fathom::tokens {
namespace {

struct Read {
  std::string content;
  std::vector<std::pair<std::string, std::string>> calls;  // name, arguments
  std::size_t pieces = 0;
};

// Feeds the text in pieces of `size` bytes.
Read read(ToolSyntax syntax, std::string_view text, std::size_t size) {
  Read out;
  ToolCallReader reader(syntax);
  const auto take = [&](const ToolCallReader::Text& part) {
    out.content += part.content;
    for (const ToolCallPiece& piece : part.calls) {
      if (!piece.name.empty()) {
        EXPECT_EQ(piece.index, static_cast<int>(out.calls.size()));
        EXPECT_TRUE(piece.arguments.empty());
        out.calls.emplace_back(piece.name, "");
        continue;
      }
      EXPECT_EQ(piece.index + 1, static_cast<int>(out.calls.size()));
      EXPECT_FALSE(piece.arguments.empty());
      out.calls.back().second += piece.arguments;
      ++out.pieces;
    }
  };
  for (std::size_t at = 0; at < text.size(); at += size) take(reader.push(text.substr(at, size)));
  take(reader.flush());
  return out;
}

std::string written(ToolSyntax syntax, const std::vector<std::pair<std::string, std::string>>& calls) {
  const ToolMarkup& markup = tool_markup(syntax);
  std::string text(markup.calls_begin);
  for (std::size_t i = 0; i < calls.size(); ++i) {
    if (i > 0) text += markup.separator;
    text += std::string(markup.call_begin) + calls[i].first + std::string(markup.before_arguments) + calls[i].second;
    text += markup.call_end;
  }
  return text += markup.calls_end;
}

constexpr ToolSyntax kAll[] = {ToolSyntax::kDeepseekV3, ToolSyntax::kDeepseekV31, ToolSyntax::kHermes,
                               ToolSyntax::kLlama3};

TEST(ToolCallReader, TakesCallsOutOfTheTextHoweverItIsCut) {
  for (const ToolSyntax syntax : kAll) {
    std::vector<std::pair<std::string, std::string>> calls = {
        {"get_weather", R"({"city": "Köln", "note": "a \"}\" and \\", "deep": [{"x": {}}]})"}};
    if (tool_markup(syntax).several) calls.emplace_back("now", "{}");
    for (const std::string before : {"", "I will look.\n\n", "\n\n"}) {
      for (std::size_t size = 1; size < 60; ++size) {
        const Read out = read(syntax, before + written(syntax, calls), size);
        EXPECT_EQ(out.content, before == "\n\n" ? "" : before) << size;
        EXPECT_EQ(out.calls, calls) << size;
      }
    }
    EXPECT_GT(read(syntax, written(syntax, calls), 1).pieces, 20u) << "arguments go out as they come";
  }
}

TEST(ToolCallReader, MarkupInsideArgumentsIsText) {
  for (const ToolSyntax syntax : kAll) {
    const std::string inside = R"({"text": ")" +
                               std::string(tool_markup(syntax).call_end == "}" ? "}" : "x</tool_call>") +
                               R"(<｜tool▁call▁end｜>"})";
    EXPECT_EQ(read(syntax, written(syntax, {{"say", inside}}), 3).calls,
              (std::vector<std::pair<std::string, std::string>>{{"say", inside}}));
  }
}

TEST(ToolCallReader, TextThatOnlyBeginsLikeACallStays) {
  for (const std::string text : {"a < b and <tool_cal", "<tool_call>\nno json here", "  {\"na", "plain",
                                 " <｜tool▁calls▁x", "<tool_call>\n{\"name\": \"\", \"arguments\": 1}"}) {
    for (std::size_t size = 1; size < 40; ++size) {
      const Read out = read(ToolSyntax::kHermes, text, size);
      EXPECT_EQ(out.content, text) << size;
      EXPECT_TRUE(out.calls.empty());
    }
  }
}

TEST(ToolCallReader, AnAnswerThatIsCutOffLeaksNoMarkup) {
  for (const ToolSyntax syntax : kAll) {
    const std::string whole = written(syntax, {{"now", "{\"zone\": 1}"}});
    const std::size_t named = whole.find("now") + 3 + tool_markup(syntax).before_arguments.size();
    // What only begins like a call of Llama's may be anything.
    const std::size_t sure = syntax == ToolSyntax::kLlama3 ? named : whole.find('>') + 1;
    for (std::size_t end = sure; end < named; ++end) {
      const Read out = read(syntax, whole.substr(0, end), 4);
      EXPECT_EQ(out.content, "") << whole.substr(0, end);
      EXPECT_TRUE(out.calls.empty());
    }
    for (std::size_t end = named; end <= whole.size(); ++end) {
      const Read out = read(syntax, whole.substr(0, end), 4);
      EXPECT_EQ(out.content, "") << whole.substr(0, end);
      ASSERT_EQ(out.calls.size(), 1u);
      EXPECT_TRUE(std::string_view("{\"zone\": 1}").starts_with(out.calls[0].second));
    }
  }
}

TEST(ToolCallReader, TextAfterCallsIsContentAgain) {
  const std::string call = written(ToolSyntax::kHermes, {{"now", "{}"}});
  EXPECT_EQ(read(ToolSyntax::kHermes, call + "\nDone.", 5).content, "\nDone.");
  EXPECT_EQ(read(ToolSyntax::kHermes, call + "\n", 5).content, "");
}

}  // namespace
}  // namespace fathom::tokens
