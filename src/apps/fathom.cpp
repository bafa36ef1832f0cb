// The program: reads the command line, runs one command, prints what went wrong. Exit codes: 0, 1 (bad input), 2
// (usage).
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <functional>
#include <system_error>

#include "apps/commands.h"
#include "apps/completions.h"
#include "files/model_store.h"
#include "server/duration.h"

namespace fathom::apps {
namespace {

constexpr const char* kVersion = "fathom 0.1.0";
constexpr const char* kModelHelp =
    "a catalogue name, a GGUF file, a Hugging Face directory, or hf:owner/repo[@revision][:file]";

constexpr std::int64_t kMostOfALimit = 1'000'000'000'000;
constexpr double kLargestBudget = 1e9;  // in billionths it still fits 64 bits
constexpr int kMostTokens = 1 << 30;    // more than any context

// What the chosen command does, once the whole line is read.
using Action = std::function<Status()>;

void add_engine_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("--threads", flags.threads, "threads to compute with (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  app.add_option("--ctx", flags.context, "positions of context (default: the model's own, at most what memory holds)")
      ->check(CLI::Range(1, 1 << 30));
  app.add_option("--cache-type", flags.cache_type, "element type of the cache: f32, bf16 or q8")
      ->check(CLI::IsMember({"f32", "bf16", "q8"}));
  app.add_option("--seed", flags.seed, "the same seed gives the same answers where tokens are drawn");
  app.add_option("--prefill-cell", flags.prefill_cell, "positions of one cell of the prefill grid")
      ->check(CLI::Range(1, 65536))
      ->group("");
}

void add_model_flags(CLI::App& app, ModelFlags& flags) {
  app.add_option("MODEL", flags.model, kModelHelp)->type_name("FILE")->required();
  add_engine_flags(app, flags);
}

// Of commands that answer: what may guess ahead.
void add_draft_flag(CLI::App& app, ModelFlags& flags) {
  app.add_option("--draft", flags.draft, "a small model with the same tokenizer that guesses ahead; changes no answer")
      ->type_name("MODEL");
}

void add_sampling_flags(CLI::App& app, SamplingFlags& flags) {
  app.add_option("--temp", flags.temperature, "temperature; 0 takes the likeliest token")
      ->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-k", flags.top_k, "sample from the k likeliest; 0: all")->check(CLI::NonNegativeNumber);
  app.add_option("--top-p", flags.top_p, "sample from the likeliest that together have this probability")
      ->check(CLI::Range(0.0, 1.0));
  app.add_option("--min-p", flags.min_p, "least probability relative to the likeliest")->check(CLI::Range(0.0, 1.0));
  app.add_option("--repetition-penalty", flags.repetition_penalty, "1: off")->check(CLI::Range(0.01, 100.0));
  app.add_option("--frequency-penalty", flags.frequency_penalty, "0: off")->check(CLI::Range(-2.0, 2.0));
  app.add_option("--presence-penalty", flags.presence_penalty, "0: off")->check(CLI::Range(-2.0, 2.0));
}

// --thinking and --no-thinking; neither leaves it to the template.
void add_thinking_flags(CLI::App& app, std::optional<bool>& thinking) {
  app.add_flag_callback(
      "--thinking", [&] { thinking = true; }, "let the model think, where its template has the switch");
  app.add_flag_callback("--no-thinking", [&] { thinking = false; }, "answer at once");
}

CLI::App& command(CLI::App& app, const char* name, const char* what, const char* example) {
  CLI::App& sub = *app.add_subcommand(name, what);
  sub.footer(std::string("Example:\n  ") + example);
  return sub;
}

// Flags live as long as the program: the actions refer to them.
struct Flags {
  ChatFlags chat;
  GenerateFlags generate;
  InspectFlags inspect;
  std::string shell;
  TokenizeFlags tokenize, detokenize;
  RenderFlags render;
  LogitsFlags logits;
  PerplexityFlags perplexity;
  BenchFlags bench;
  QuantizeFlags quantize;
  ServeFlags serve;
  LoadedFlags loaded;
  KeyFlags keys;
  UsageFlags usage;
  BackupFlags backup;
  StoreFlags pull, remove;
  ListFlags list;
};

void add_chat(CLI::App& app, ChatFlags& f, Action& action) {
  CLI::App& c = command(
      app, "chat", "chat in the terminal",
      "fathom chat                            with the default model\n"
      "  fathom chat r1-distill-qwen-7b --thinking\n"
      "  git diff | fathom chat --system \"Review this change.\"\n\n"
      "Standard input that is a file or a pipe is one question, whatever lines it has: its answer goes to standard\n"
      "output, without colours where that is no terminal, thoughts go to standard error, and the chat ends.\n"
      "NO_COLOR turns colours off. What is typed is kept in chat_history in the data folder.");
  add_model_flags(c, f);
  add_draft_flag(c, f);
  c.get_option("MODEL")->required(false);
  add_sampling_flags(c, f.sampling);
  add_thinking_flags(c, f.thinking);
  c.add_option("--system", f.system, "a system prompt, or @FILE");
  c.add_option("-n,--max-tokens", f.max_tokens, "tokens of an answer at most (default: until the context is full)")
      ->check(CLI::Range(1, kMostTokens));
  c.add_flag("--no-server", f.no_server, "load the model here even where a running server has it loaded");
  c.callback([&] { action = [&] { return chat(f); }; });
}

void add_inspect(CLI::App& app, InspectFlags& f, Action& action) {
  CLI::App& c =
      command(app, "inspect", "say what a model file holds, or what this machine can do", "fathom inspect model.gguf");
  c.add_option("MODEL", f.model, kModelHelp)->type_name("FILE");
  c.add_flag("--machine", f.machine, "the kernels, threads and memory that fathom has here");
  c.add_flag("--json", f.json, "print one JSON object");
  c.callback([&] {
    if (f.model.empty() && !f.machine) throw CLI::RequiredError("MODEL or --machine");
    action = [&] { return inspect(f); };
  });
}

void add_completions(CLI::App& app, std::string& shell, Action& action) {
  CLI::App& c =
      command(app, "completions", "print the completion script of a shell", "source <(fathom completions bash)");
  c.add_option("SHELL", shell, "bash, zsh or fish")->required()->check(CLI::IsMember({"bash", "zsh", "fish"}));
  c.callback([&] {
    action = [&]() -> Status {
      const std::string script = completions(app, shell);
      std::fwrite(script.data(), 1, script.size(), stdout);
      return {};
    };
  });
}

void add_generate(CLI::App& app, GenerateFlags& f, Action& action) {
  CLI::App& c = command(app, "generate", "print one answer", "fathom generate model.gguf -p \"Why is the sky blue?\"");
  add_model_flags(c, f);
  add_draft_flag(c, f);
  add_sampling_flags(c, f.sampling);
  add_thinking_flags(c, f.thinking);
  CLI::App& prompt = *c.add_option_group("prompt");
  prompt.require_option(1);
  prompt.add_option("-p,--prompt", f.prompt, "the question, or with --raw the text to go on with");
  prompt.add_option("--prompt-file", f.prompt_file, "read it from a file; - is standard input")->type_name("FILE");
  c.add_option("--system", f.system, "a system prompt, or @FILE");
  c.add_option("-n,--max-tokens", f.max_tokens, "tokens at most (default: until the context is full)")
      ->check(CLI::Range(1, kMostTokens));
  c.add_flag("--raw", f.raw, "continue the text itself, without a chat template");
  c.add_flag("--json", f.json, "print one JSON object instead of a stream");
  c.callback([&] { action = [&] { return generate(f); }; });
}

void add_tokens(CLI::App& app, Flags& f, Action& action) {
  CLI::App& t = command(app, "tokenize", "print a text's token ids as a JSON array",
                        "fathom tokenize model.gguf --file text.txt");
  t.add_option("MODEL", f.tokenize.model, kModelHelp)->type_name("FILE")->required();
  t.add_option("--file", f.tokenize.file, "the text; - is standard input")->type_name("FILE")->required();
  t.add_flag("--specials", f.tokenize.specials, "recognise control tokens in the text");
  t.callback([&] { action = [&] { return tokenize(f.tokenize); }; });

  CLI::App& d =
      command(app, "detokenize", "print the text of token ids", "fathom detokenize model.gguf --ids-file ids.txt");
  d.add_option("MODEL", f.detokenize.model, kModelHelp)->type_name("FILE")->required();
  d.add_option("--ids-file", f.detokenize.file, "ids separated by white space, or a JSON array; - is standard input")
      ->type_name("FILE")
      ->required();
  d.callback([&] { action = [&] { return detokenize(f.detokenize); }; });

  CLI::App& r = command(app, "render", "print the prompt that a conversation becomes, byte for byte",
                        "fathom render model.gguf --messages messages.json");
  r.add_option("MODEL", f.render.model, kModelHelp)->type_name("FILE")->required();
  r.add_option("--messages", f.render.messages, "a JSON array of {role, content}")->type_name("FILE")->required();
  r.add_option("--tools", f.render.tools, "a JSON array of tools")->type_name("FILE");
  add_thinking_flags(r, f.render.thinking);
  r.add_flag("!--no-generation-prompt", f.render.generation_prompt, "end after the last message");
  r.callback([&] { action = [&] { return render(f.render); }; });
}

void add_scores(CLI::App& app, Flags& f, Action& action) {
  CLI::App& l = command(app, "logits", "write the logits of every position of a text",
                        "fathom logits model.gguf --tokens-file ids.txt --out logits.safetensors");
  add_model_flags(l, f.logits);
  l.add_option("--tokens-file", f.logits.tokens_file, "token ids separated by white space")
      ->type_name("FILE")
      ->required();
  l.add_option("--out", f.logits.out, "the safetensors file to write: logits [T, V]")->type_name("FILE")->required();
  l.add_flag("--mtp", f.logits.mtp, "also mtp_logits [T - 1, V] of the MTP layer");
  l.callback([&] { action = [&] { return logits(f.logits); }; });

  CLI::App& p =
      command(app, "perplexity", "how well the model predicts a text", "fathom perplexity model.gguf --file text.txt");
  add_model_flags(p, f.perplexity);
  p.add_option("--file", f.perplexity.file, "the text; - is standard input")->type_name("FILE")->required();
  p.add_flag("--json", f.perplexity.json, "print one JSON object");
  p.callback([&] { action = [&] { return perplexity(f.perplexity); }; });

  CLI::App& b = command(app, "bench", "measure prefill and decode speed",
                        "fathom bench model.gguf --prefill 512,2048 --depth 0,4096");
  add_model_flags(b, f.bench);
  b.add_option("--prefill", f.bench.prefill, "prompt lengths to measure")
      ->delimiter(',')
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  b.add_option("--decode", f.bench.decode, "tokens to decode at each depth")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  b.add_option("--depth", f.bench.depth, "tokens in the cache when decoding starts")
      ->delimiter(',')
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  b.add_flag("--json", f.bench.json, "print JSON lines");
  b.callback([&] { action = [&] { return bench(f.bench); }; });
}

void add_quantize(CLI::App& app, QuantizeFlags& f, Action& action) {
  CLI::App& c = command(app, "quantize", "write a model as one GGUF file of another type",
                        "fathom quantize ./DeepSeek-V2-Lite-Chat v2-lite.gguf --type q4_k_m");
  c.add_option("IN", f.model, kModelHelp)->required();
  c.add_option("OUT", f.out, "the GGUF file to write")->required();
  c.add_option("--type", f.type, "what most of its matrices become")
      ->required()
      ->check(CLI::IsMember(quantize_types()));
  c.add_option("--threads", f.threads, "threads to compute with (default: all this process may use)")
      ->check(CLI::Range(1, 1024));
  c.callback([&] { action = [&] { return quantize(f); }; });
}

void add_store(CLI::App& app, Flags& f, Action& action) {
  CLI::App& p =
      command(app, "pull", "fetch a model from the hub, or what is missing of it", "fathom pull r1-distill-qwen-1.5b");
  p.add_option("MODEL", f.pull.model,
               "a catalogue name (fathom list --all) or hf:owner/repo[@revision][:quant or file]")
      ->required();
  p.callback([&] { action = [&] { return pull(f.pull); }; });

  CLI::App& l = command(app, "list", "list the models on this machine", "fathom list --all");
  l.add_flag("--all", f.list.all, "also those that can be pulled by name");
  l.add_flag("--json", f.list.json, "print a JSON array");
  l.callback([&] { action = [&] { return list(f.list); }; });

  CLI::App& r = command(app, "rm", "remove a model that was pulled", "fathom rm r1-distill-qwen-1.5b");
  r.add_option("MODEL", f.remove.model, "its name, as `fathom list` gives it")->required();
  r.callback([&] { action = [&] { return remove(f.remove); }; });
}

void add_cache_flags(CLI::App& c, ServeFlags& f) {
  c.add_option("--cache-memory", f.cache_memory,
               "memory for the cache of all conversations, such as 4GB (default: what the weights leave; where several "
               "models share, a context of full length)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  c.add_option("--cache-dir", f.cache_folder,
               "folder that keeps what was read and answered, so that conversations go on at once after a restart "
               "(default: cache in fathom's data folder)")
      ->type_name("DIR");
  c.add_option("--cache-disk", f.cache_disk,
               "how much that folder may hold, such as 20GB; 0 keeps nothing there (default: 8GB)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  c.add_flag("--share-prefixes", f.share_prefixes,
             "let what one key's text left in the cache serve other keys that send the same text");
}

void add_log_flags(CLI::App& c, ServeFlags& f) {
  const auto set_json = [&f](const std::string& format) { f.log.json = format == "json"; };
  c.add_option_function<std::string>("--log-format", set_json, "text or json (default: text)")
      ->check(CLI::IsMember({"text", "json"}));
  c.add_option("--log-file", f.log.file, "append to this file (default: standard error)")->type_name("FILE");
  c.add_flag("--quiet", f.log.quiet, "log only what fails");
  c.add_flag("--log-prompts", f.log.prompts, "what is asked too: the bodies of requests, prompts and all");
}

void add_limits(CLI::App& c, ServeFlags& f) {
  constexpr int kDay = 24 * 3600;
  c.add_option("--queue-limit", f.queue_limit, "seconds until a request whose turn has not come is refused")
      ->check(CLI::Range(1, kDay))
      ->capture_default_str();
  c.add_option("--write-limit", f.write_limit, "seconds until a client that takes nothing of its answer is dropped")
      ->check(CLI::Range(1, kDay))
      ->capture_default_str();
}

// "https://chat.example.com", with a port where there is one, and nothing after.
CLI::Validator origin_validator(const std::string& start) {
  return {[start](const std::string& text) {
            const std::size_t host = text.find("://");
            const bool good = text.starts_with(start) && host != std::string::npos && host + 3 < text.size() &&
                              text.find_first_of("/?#@ ", host + 3) == std::string::npos;
            return good ? std::string() : "expected an address such as https://chat.example.com, with nothing after";
          },
          ""};
}

// What the configuration says, where no flag says otherwise.
Status configure(CLI::App& c, ServeFlags& f) {
  if (f.config.empty()) return {};
  auto config = read_serve_config(f.config);
  if (!config) return std::unexpected(config.error());
  std::vector<std::string> known;
  for (const CLI::Option* option : c.get_options()) {
    for (std::string name : option->get_lnames()) {
      std::ranges::replace(name, '-', '_');
      if (name != "help" && name != "config") known.push_back(std::move(name));
    }
  }
  for (const ServeConfig::Setting& setting : config->settings) {
    if (std::ranges::find(known, setting.key) == known.end()) {
      const auto near = files::nearest_name(setting.key, known);
      return base::fail("{}: line {}: there is no setting {:?}{}", f.config, setting.line, setting.key,
                        near ? fmt::format("; did you mean {:?}?", *near)
                             : "; they are the flags of `fathom serve --help`, with \"_\" for \"-\"");
    }
    std::string name = setting.key;
    std::ranges::replace(name, '_', '-');
    CLI::Option* option = c.get_option("--" + name);
    if (option->count() > 0) continue;
    try {
      for (const std::string& value : setting.values) option->add_result(value);
      option->run_callback();
    } catch (const CLI::Error& error) {
      return base::fail("{}: line {}: {}", f.config, setting.line, error.what());
    }
  }
  f.configured = std::move(config->models);
  f.prices = std::move(config->prices);
  return {};
}

CLI::Validator duration_validator() {
  return {[](std::string& text) {
            return server::parse_duration(text) ? std::string() : "expected a time such as 30s, 10m or 1h30m";
          },
          "TIME"};
}

void add_served_models(CLI::App& c, ServeFlags& f) {
  c.add_option("MODEL", f.models,
               std::string(kModelHelp) +
                   "; the first answers requests that name none (default: the default model and "
                   "all that were pulled)");
  c.add_option("--memory", f.memory,
               "memory for all models together, such as 12GB; where one more does not fit, the one unused for the "
               "longest time leaves (default: what this process may take)")
      ->transform(CLI::AsSizeValue(false))
      ->type_name("SIZE");
  c.add_option("--keep-alive", f.keep_alive,
               "how long a model stays loaded without being used, unless it is named here; -1: for ever")
      ->check(duration_validator())
      ->capture_default_str();
  add_engine_flags(c, f);
  add_draft_flag(c, f);
}

void add_reach_flags(CLI::App& c, ServeFlags& f) {
  CLI::Option* certificate = c.add_option("--tls-cert", f.tls_certificate, "certificate chain, PEM")->type_name("FILE");
  c.add_option("--tls-key", f.tls_key, "its private key, PEM")->type_name("FILE")->needs(certificate);
  c.add_option("--proxy", f.proxy, "address of a proxy that speaks TLS and passes requests on")
      ->type_name("https://HOST")
      ->check(origin_validator("https://"));
  c.add_option("--allow-origin", f.allowed_origins, "another site whose pages may call the API")
      ->type_name("ORIGIN")
      ->check(origin_validator("http"));
  c.add_flag("--open", f.open, "serve other machines without a key or encryption: for closed networks only");
}

void add_serve(CLI::App& app, ServeFlags& f, Action& action) {
  CLI::App& c = command(app, "serve", "serve the chat page and the API to this machine",
                        "fathom serve model.gguf --port 8000\n  fathom serve r1-distill-qwen-1.5b r1-distill-qwen-7b "
                        "--memory 12GB\n  fathom serve --config fathom.toml");
  c.add_option("--config", f.config,
               "configuration, TOML: these flags by their names, [models] and [prices]; flags come first")
      ->type_name("FILE");
  c.add_option("--host", f.host, "address to listen on")->capture_default_str();
  c.add_option("--port", f.port, "port; 0 takes a free one")->check(CLI::Range(0, 65535))->capture_default_str();
  c.add_option("--api-key", f.api_key, "a key for whoever runs the server, besides those of `fathom keys`")
      ->envname("FATHOM_API_KEY");
  c.add_option("--drain", f.drain, "seconds that running answers have to end when the server is to stop")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  c.add_option("--chat-data", f.chat_data, "folder to keep conversations in, instead of the usual one")
      ->envname("FATHOM_CHAT_DATA");
  c.add_flag("--no-chat", f.no_chat,
             "the API alone: keep no conversations, and leave those that are kept to another server");
  const auto group_new = [&c](const char* group) {
    for (CLI::Option* option : c.get_options())
      if (option->get_group() == "Options" && option->nonpositional() && !option->check_lname("help"))
        option->group(group);
  };
  group_new("Server");
  add_served_models(c, f);
  group_new("Models");
  add_cache_flags(c, f);
  group_new("Cache");
  add_reach_flags(c, f);
  group_new("Beyond this machine");
  add_limits(c, f);
  group_new("Limits");
  add_log_flags(c, f);
  group_new("Log, one line a request");
  c.callback([&] {
    action = [&]() -> Status {
      if (auto configured = configure(c, f); !configured) return configured;
      return serve(f);
    };
  });
}

void add_loaded(CLI::App& app, LoadedFlags& f, Action& action) {
  CLI::App& p = command(app, "ps", "list the models that the running server has loaded", "fathom ps");
  p.add_flag("--json", f.json, "print a JSON array");
  p.callback([&] { action = [&] { return list_loaded(f); }; });
  CLI::App& u = command(app, "unload", "have the running server give a model's memory back",
                        "fathom unload r1-distill-qwen-1.5b");
  u.add_option("MODEL", f.model, "its name, as `fathom ps` gives it (default: all)");
  u.callback([&] { action = [&] { return unload(f); }; });
}

void add_key_limits(CLI::App& app, KeyFlags& f) {
  app.add_option("--requests", f.requests_per_minute, "requests a minute at most; 0: as many as it likes")
      ->check(CLI::Range(std::int64_t{0}, kMostOfALimit));
  app.add_option("--tokens", f.tokens_per_minute, "tokens a minute at most, of prompts and answers; 0: no limit")
      ->check(CLI::Range(std::int64_t{0}, kMostOfALimit));
  app.add_option("--concurrent", f.concurrent, "answers at a time at most; 0: no limit")
      ->check(CLI::Range(std::int64_t{0}, kMostOfALimit));
  app.add_option("--budget", f.budget, "what it may cost in all, in the price list's currency; 0: no limit")
      ->check(CLI::Range(0.0, kLargestBudget));
}

void add_keys(CLI::App& app, KeyFlags& f, Action& action) {
  CLI::App& keys = command(app, "keys", "the keys by which programs use the API", "fathom keys add my-laptop");
  keys.require_subcommand(1);
  const auto named = [&](const char* word, const char* what, const char* example,
                         Status (*run)(const KeyFlags&)) -> CLI::App& {
    CLI::App& c = command(keys, word, what, example);
    c.add_option("NAME", f.name, "what the key is called")->required();
    c.callback([&f, &action, run] { action = [&f, run] { return run(f); }; });
    return c;
  };
  CLI::App& add = named("add", "make a key; it is shown once", "fathom keys add my-laptop --concurrent 4", add_key);
  add.add_option("--scope", f.scope, "api: what clients ask; admin: also metrics, loading and unloading")
      ->check(CLI::IsMember({"api", "admin"}))
      ->capture_default_str();
  add_key_limits(add, f);
  CLI::App& list = command(keys, "list", "list the keys and their limits", "fathom keys list");
  list.callback([&action] { action = [] { return list_keys(); }; });
  add_key_limits(named("limit", "change a key's limits", "fathom keys limit my-laptop --budget 20", limit_key), f);
  named("revoke", "end a key; a running server refuses it from now on", "fathom keys revoke my-laptop", revoke_key);
}

void add_backup(CLI::App& app, BackupFlags& f, Action& action) {
  const auto add = [&](const char* word, const char* what, const char* example, const char* file,
                       Status (*run)(const BackupFlags&)) {
    CLI::App& c = command(app, word, what, example);
    c.add_option("FILE", f.file, file)->type_name("FILE")->required();
    c.add_option("--chat-data", f.chat_data, "folder of the conversations, where it is not the usual one")
        ->envname("FATHOM_CHAT_DATA");
    c.callback([&f, &action, run] { action = [&f, run] { return run(f); }; });
  };
  add("backup", "keep keys, usage and conversations in one file; a server may run meanwhile",
      "fathom backup fathom-2026-11-24.backup", "the file to write; not one that is there", backup);
  add("restore", "put back what a backup holds; no server may run, and what is replaced is kept",
      "fathom restore fathom-2026-11-24.backup", "what `fathom backup` wrote", restore);
}

void add_usage(CLI::App& app, UsageFlags& f, Action& action) {
  CLI::App& c = command(app, "usage", "print what was used, by day, key and model", "fathom usage --from 2026-11-01");
  const CLI::Validator day(
      [](const std::string& text) {
        const bool is_day = text.size() == 10 && text[4] == '-' && text[7] == '-' &&
                            text.find_first_not_of("0123456789-") == std::string::npos;
        return is_day ? std::string() : "expected a day such as 2026-11-24";
      },
      "DAY");
  c.add_option("--from", f.from, "the first day, in UTC")->check(day);
  c.add_option("--to", f.to, "the last day")->check(day);
  c.add_option("--key", f.key, "of this key alone; page: of the chat page");
  c.add_flag("--json", f.json, "print a JSON array");
  c.callback([&] { action = [&] { return usage(f); }; });
}

int run(int argc, char** argv) {
  CLI::App app{"fathom: run and serve the DeepSeek family of language models on the hardware you have", "fathom"};
  app.set_version_flag("--version", kVersion);
  app.require_subcommand(1);
  Flags flags;
  Action action;
  add_chat(app, flags.chat, action);
  add_generate(app, flags.generate, action);
  add_serve(app, flags.serve, action);
  add_loaded(app, flags.loaded, action);
  add_keys(app, flags.keys, action);
  add_usage(app, flags.usage, action);
  add_backup(app, flags.backup, action);
  add_store(app, flags, action);
  add_tokens(app, flags, action);
  add_scores(app, flags, action);
  add_quantize(app, flags.quantize, action);
  add_inspect(app, flags.inspect, action);
  add_completions(app, flags.shell, action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty()) {
      fmt::print(stderr, "fathom: there is no command {:?}; `fathom --help` lists those that are\n", argv[1]);
      return 2;
    }
    return app.exit(error) == 0 ? 0 : 2;
  }
  auto status = action();
  // A full disk behind a redirection shows only here.
  if (status && (std::fflush(stdout) != 0 || std::ferror(stdout) != 0))
    status = base::fail("standard output: cannot be written: {}", std::generic_category().message(errno));
  if (!status) {
    fmt::print(stderr, "fathom: {}\n", status.error().message);
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace fathom::apps

int main(int argc, char** argv) {
  try {
    return fathom::apps::run(argc, argv);
  } catch (const std::exception& error) {
    fmt::print(stderr, "fathom: {}\n", error.what());
    return 1;
  }
}
