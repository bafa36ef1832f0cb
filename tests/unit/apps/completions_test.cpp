// Completion scripts: shells must take them, and bash must complete what there is.
#include "apps/completions.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>

namespace fathom::apps {
namespace {

class CompletionsTest : public testing::Test {
 protected:
  CompletionsTest() : app_("a program") {
    CLI::App& run = *app_.add_subcommand("run", "run a model: it's [quick]");
    run.add_option("MODEL", model_, "the model")->type_name("FILE");
    run.add_option("-t,--type", text_, "the type")->check(CLI::IsMember({"f32", "bf16"}));
    run.add_option("--file", file_, "a file")->type_name("FILE");
    run.add_option("--hidden", hidden_)->group("");
    run.add_flag("--fast", fast_, "be \"quick\" \\ quiet");
    CLI::App& train = *app_.add_subcommand("train", "train");
    train.add_subcommand("sft", "fine-tune")->add_flag("--packed", packed_, "pack");
    train.add_subcommand("grpo", "reinforce");
  }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = testing::TempDir() + name;
    std::ofstream(path) << text;
    return path;
  }

  // What bash offers for the last of the words.
  std::string complete(const std::vector<std::string>& words) {
    std::string script = completions(app_, "bash") + "COMP_WORDS=(fathom";
    for (const auto& word : words) script += " '" + word + "'";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size()) +
              "\ncd /nowhere 2>/dev/null\n_fathom\nprintf '%s ' \"${COMPREPLY[@]}\"\n";
    std::FILE* out = popen(("bash " + write("complete.bash", script)).c_str(), "r");
    std::string text;
    for (int c = std::fgetc(out); c != EOF; c = std::fgetc(out)) text += static_cast<char>(c);
    pclose(out);
    return text;
  }

  CLI::App app_;
  std::string model_, text_, file_, hidden_;
  bool fast_ = false, packed_ = false;
};

TEST_F(CompletionsTest, ShellsParseThem) {
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const std::string script = completions(app_, shell);
    EXPECT_NE(script.find("sft"), std::string::npos) << shell;
    EXPECT_EQ(script.find("hidden"), std::string::npos) << shell;
    if (std::system(fmt::format("command -v {} >/dev/null", shell).c_str()) != 0) continue;  // only bash is everywhere
    EXPECT_EQ(std::system(fmt::format("{} -n {}", shell, write(std::string("script.") + shell, script)).c_str()), 0)
        << shell;
  }
}

TEST_F(CompletionsTest, BashCompletesCommandsOptionsAndValues) {
  EXPECT_EQ(complete({""}), "run train ");
  EXPECT_EQ(complete({"tr"}), "train ");
  EXPECT_EQ(complete({"train", ""}), "sft grpo ");
  EXPECT_EQ(complete({"train", "sft", "--p"}), "--packed ");
  EXPECT_EQ(complete({"run", "--f"}), "--file --fast ");
  EXPECT_EQ(complete({"run", "-t", ""}), "f32 bf16 ");
  EXPECT_EQ(complete({"run", "--type", "b"}), "bf16 ");
  EXPECT_EQ(complete({"run", "smollm2-1"}), "smollm2-135m ");  // the catalogue's names
  EXPECT_EQ(complete({"run", "--file", "/etc/host"}).find("/etc/host"), 0u);
}

}  // namespace
}  // namespace fathom::apps
